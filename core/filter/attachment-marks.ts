/**
 * What is suspicious about an attachment by its name, its first bytes and nothing more: archives are looked at from the
 * outside (names and sizes in their first local headers), never unpacked, so no bomb can go off here.
 */

import { asBuffer, latin1 } from '../mime/bytes.ts';

export type Mark = 'program' | 'doubleExtension' | 'archive' | 'encrypted' | 'bomb' | 'macros' | 'disguised';

interface Judgement {
  readonly marks: readonly Mark[];
  /** In words, most important first. */
  readonly reasons: readonly string[];
}

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '));

/** Run by a double click on common systems. */
const PROGRAM_EXTENSIONS = words(
  'ade adp app apk appx bat chm cmd com cpl dll exe gadget hta img inf ins iso isp jar js jse lnk mde msc msi msix msp ' +
    'mst pif ps1 reg scr sct shb shs sys url vb vbe vbs vhd vhdx vxd wsc wsf wsh xll',
);
const MACRO_EXTENSIONS = words('docm dotm xlsm xltm xlam pptm potm ppam ppsm sldm');
/** Looks like a document where another extension follows. */
const DOCUMENT_EXTENSIONS = words('pdf doc docx xls xlsx ppt pptx txt rtf jpg jpeg png gif htm html csv zip mp3 mp4');
const PROGRAM_TYPES = words(
  'application/vnd.microsoft.portable-executable application/x-executable application/x-mach-binary ' +
    'application/java-vm application/x-ms-shortcut',
);
const ARCHIVE_TYPES = words(
  'application/zip application/vnd.rar application/x-7z-compressed application/gzip application/x-bzip2 ' +
    'application/x-xz application/zstd application/x-tar application/vnd.ms-cab-compressed application/x-arj',
);

const ARCHIVE_ENTRIES_MAX = 64;
/** DEFLATE cannot do much better than 1:1032; an honest document stays far below this. */
const BOMB_RATIO = 200;
const BOMB_BYTES = 100 * 1024 * 1024;

interface ArchiveEntry {
  readonly name: string;
  readonly encrypted: boolean;
  readonly packedBytes: number;
  readonly unpackedBytes: number;
}

/** Local file headers that lie within the given bytes (PKWARE APPNOTE §4.3.7). */
function zipEntries(head: Buffer): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  let at = 0;
  while (entries.length < ARCHIVE_ENTRIES_MAX && at + 30 <= head.length && head.readUInt32LE(at) === 0x04034b50) {
    const flags = head.readUInt16LE(at + 6);
    const packedBytes = head.readUInt32LE(at + 18);
    const nameEnd = at + 30 + head.readUInt16LE(at + 26);
    entries.push({
      name: latin1(head, at + 30, Math.min(head.length, nameEnd)),
      encrypted: (flags & 1) !== 0,
      packedBytes,
      unpackedBytes: head.readUInt32LE(at + 22),
    });
    // bit 3: the size stands behind the data, so the next header cannot be found from here
    if ((flags & 8) !== 0 && packedBytes === 0) break;
    at = nameEnd + head.readUInt16LE(at + 28) + packedBytes;
  }
  return entries;
}

/** Lower-case extensions from the end, at most two. */
function extensions(filename: string): string[] {
  const parts = filename.slice(-120).trimEnd().toLowerCase().split('.');
  return parts
    .slice(1)
    .reverse()
    .slice(0, 2)
    .map((part) => part.trim());
}

/** A name as it may stand in a reason: short, on one line. */
const shown = (filename: string): string => {
  const clean = filename.replace(/[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g, '?');
  return clean.length <= 80 ? clean : `${clean.slice(0, 40)}…${clean.slice(-39)}`;
};

const BIDI_OVERRIDE = /[\u202a-\u202e\u2066-\u2069]/;

function judgeArchive(head: Buffer, name: string, add: (mark: Mark, reason?: string) => void): void {
  for (const entry of zipEntries(head)) {
    if (entry.encrypted) add('encrypted', `archive ${name} is encrypted`);
    if (PROGRAM_EXTENSIONS.has(extensions(entry.name)[0] ?? ''))
      add('program', `archive ${name} holds the program ${shown(entry.name)}`);
    if (entry.unpackedBytes > BOMB_BYTES && entry.unpackedBytes > BOMB_RATIO * Math.max(1, entry.packedBytes))
      add('bomb', `archive ${name} unpacks to ${Math.round(entry.unpackedBytes / 1024 / 1024)} MiB`);
  }
}

/**
 * @param filename '' when it has none
 * @param sniffed type by its first bytes, or null
 * @param head the first bytes, decoded
 */
export function judgeAttachment(filename: string, sniffed: string | null, head: Uint8Array): Judgement {
  const marks = new Set<Mark>();
  const reasons: string[] = [];
  const add = (mark: Mark, reason?: string): void => {
    if (reason !== undefined && !marks.has(mark)) reasons.push(reason);
    marks.add(mark);
  };
  const name = filename === '' ? 'without a name' : shown(filename);
  const [extension = '', before = ''] = extensions(filename);
  const isProgram = PROGRAM_EXTENSIONS.has(extension) || (sniffed !== null && PROGRAM_TYPES.has(sniffed));
  if (isProgram) add('program', `attachment ${name} is a program`);
  if (isProgram && DOCUMENT_EXTENSIONS.has(before))
    add('doubleExtension', `attachment ${name} is named like a document`);
  if (BIDI_OVERRIDE.test(filename)) add('disguised', `attachment ${name} hides its extension`);
  if (MACRO_EXTENSIONS.has(extension)) add('macros', `attachment ${name} may hold macros`);
  if (sniffed !== null && PROGRAM_TYPES.has(sniffed) && extension !== '' && !PROGRAM_EXTENSIONS.has(extension))
    add('disguised', `attachment ${name} is a program under another name`);
  if (sniffed !== null && ARCHIVE_TYPES.has(sniffed)) add('archive');
  if (head[0] === 0x50 && head[1] === 0x4b) judgeArchive(asBuffer(head), name, add);
  return { marks: [...marks], reasons };
}
