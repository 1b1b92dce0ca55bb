/**
 * A media type by the content's first bytes: what a file is, whatever its name and Content-Type say. Archives and office
 * documents are told apart by names at their beginning only; nothing is ever inflated.
 */

import { asBuffer, latin1 } from './bytes.ts';

/** How many bytes of the content are worth giving. */
export const SNIFF_BYTES = 4096;

const hex = (digits: string): Buffer => Buffer.from(digits, 'hex');
const text = (characters: string): Buffer => Buffer.from(characters, 'latin1');

/** Longer signatures before shorter ones of the same beginning. */
const MAGIC: readonly (readonly [offset: number, bytes: Buffer, type: string])[] = [
  [0, text('%PDF-'), 'application/pdf'],
  [0, hex('89504e470d0a1a0a'), 'image/png'],
  [0, hex('ffd8ff'), 'image/jpeg'],
  [0, text('GIF8'), 'image/gif'],
  [0, text('BM'), 'image/bmp'],
  [0, hex('49492a00'), 'image/tiff'],
  [0, hex('4d4d002a'), 'image/tiff'],
  [8, text('WEBP'), 'image/webp'],
  [8, text('WAVE'), 'audio/wav'],
  [8, text('AVI '), 'video/x-msvideo'],
  [4, text('ftypheic'), 'image/heic'],
  [4, text('ftypavif'), 'image/avif'],
  [4, text('ftyp'), 'video/mp4'],
  [0, hex('1a45dfa3'), 'video/webm'],
  [0, text('ID3'), 'audio/mpeg'],
  [0, text('OggS'), 'audio/ogg'],
  [0, text('fLaC'), 'audio/flac'],
  [0, hex('d0cf11e0a1b11ae1'), 'application/x-ole-storage'],
  [0, hex('526172211a07'), 'application/vnd.rar'],
  [0, hex('377abcaf271c'), 'application/x-7z-compressed'],
  [0, hex('1f8b'), 'application/gzip'],
  [0, text('BZh'), 'application/x-bzip2'],
  [0, hex('fd377a585a00'), 'application/x-xz'],
  [0, hex('28b52ffd'), 'application/zstd'],
  [257, text('ustar'), 'application/x-tar'],
  [0, text('MSCF'), 'application/vnd.ms-cab-compressed'],
  [0, hex('60ea'), 'application/x-arj'],
  [0, hex('7f454c46'), 'application/x-executable'],
  [0, hex('feedface'), 'application/x-mach-binary'],
  [0, hex('feedfacf'), 'application/x-mach-binary'],
  [0, hex('cffaedfe'), 'application/x-mach-binary'],
  [0, hex('cafebabe'), 'application/java-vm'],
  [0, hex('4c0000000114020000000000c000000000000046'), 'application/x-ms-shortcut'],
  [0, text('#!'), 'text/x-shellscript'],
  [0, text('{\\rtf'), 'application/rtf'],
  [0, hex('0061736d'), 'application/wasm'],
  [0, text('wOF2'), 'font/woff2'],
  [0, text('SQLite format 3\0'), 'application/vnd.sqlite3'],
];

const OFFICE = 'application/vnd.openxmlformats-officedocument.';
/** Names of members near the beginning of a ZIP archive that say what it is (first match). */
const ZIP_MEMBERS: readonly (readonly [name: string, type: string])[] = [
  ['word/', `${OFFICE}wordprocessingml.document`],
  ['xl/', `${OFFICE}spreadsheetml.sheet`],
  ['ppt/', `${OFFICE}presentationml.presentation`],
  ['META-INF/MANIFEST.MF', 'application/java-archive'],
  ['AndroidManifest.xml', 'application/vnd.android.package-archive'],
];

/** OpenDocument and EPUB: the first member is `mimetype`, stored plain (ODF 1.2 part 3 §3.3). */
const ZIP_MIMETYPE = 'mimetypeapplication/';

function zipType(bytes: Buffer): string {
  const start = latin1(bytes, 0, SNIFF_BYTES);
  const at = start.indexOf(ZIP_MIMETYPE);
  if (at >= 0) {
    const named = /^application\/(?:vnd\.oasis\.opendocument\.[a-z-]{1,40}|epub\+zip)/.exec(
      start.slice(at + 8, at + 100),
    );
    if (named !== null) return named[0];
  }
  return ZIP_MEMBERS.find(([name]) => start.includes(name))?.[1] ?? 'application/zip';
}

/** DOS and Windows programs: `MZ`, and a PE header where it points to (or far away, or nothing: then trust the letters). */
const isProgram = (bytes: Buffer): boolean =>
  bytes[0] === 77 && bytes[1] === 90 && bytes.length >= 32 && bytes.includes(0);

const HTML_START =
  /^(?:\ufeff|\u00ef\u00bb\u00bf)?\s{0,256}<(?:!doctype html|html|head|body|script|iframe|svg|table|div|!--)/i;
const XML_START = /^(?:\u00ef\u00bb\u00bf)?<\?xml /;

/** null when the bytes say nothing. */
export function sniffType(firstBytes: Uint8Array): string | null {
  const bytes = asBuffer(firstBytes);
  if (bytes.length < 4) return null;
  if (bytes[0] === 80 && bytes[1] === 75 && ((bytes[2] === 3 && bytes[3] === 4) || (bytes[2] === 5 && bytes[3] === 6)))
    return zipType(bytes);
  if (isProgram(bytes)) return 'application/vnd.microsoft.portable-executable';
  for (const [offset, magic, type] of MAGIC)
    if (
      bytes.length >= offset + magic.length &&
      bytes.compare(magic, 0, magic.length, offset, offset + magic.length) === 0
    )
      return type;
  const start = latin1(bytes, 0, 512);
  if (HTML_START.test(start)) return 'text/html';
  return XML_START.test(start) ? 'application/xml' : null;
}
