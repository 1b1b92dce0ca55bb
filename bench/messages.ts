/**
 * Messages for the load generators: built once, of text whose words are spread as in real text, so that compression,
 * parsing and the filter have the work that real mail gives them. Each one that is sent is unlike any other: a stamp is
 * put into its header, its text and its attachment, so that nothing is stored only once.
 */

import { seeded } from './spam-metrics.ts';

const STAMP_CHARS = 12;
const STAMP = '@'.repeat(STAMP_CHARS);
const WORDS = 4000;
const LINE_CHARS = 72;

const SYLLABLES = (
  'an ber cal den er fon gar hin in jor kel lam men nor on per qui ren sal ter un ver wil xen yor zan ' +
  'ble cra dri fle gro hou ist kni lea mou nee ost pla quo rea sho tri ult vie whe'
).split(' ');
const COMMON = (
  'the of and to in a is that for it as was with be by on not he this are or his from at which but have an had they you ' +
  'were their one all we can her has there been if more when will would who so no meeting report project team week please ' +
  'review draft version notes schedule budget office question answer customer order release change budget morning thanks'
).split(' ');

export interface Template {
  readonly bytes: Buffer;
  readonly from: string;
  /** Where stamps go. */
  readonly marks: readonly number[];
}

/** Words by frequency: the n-th is taken about 1/n times as often as the first. */
function makeVocabulary(random: () => number): () => string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const rare = Array.from({ length: WORDS }, () =>
    Array.from({ length: 2 + Math.floor(random() * 3) }, () => pick(SYLLABLES)).join(''),
  );
  const words = [...COMMON, ...rare];
  const span = Math.log(words.length);
  return () => words[Math.floor(Math.exp(random() * span)) - 1] ?? words[0]!;
}

/** Lines of sentences, of about so many bytes. */
function prose(word: () => string, random: () => number, bytes: number): string[] {
  const lines: string[] = [];
  let line = '';
  let left = 0;
  for (let length = 0; length < bytes; ) {
    let next = word();
    if (left-- <= 0) {
      left = 6 + Math.floor(random() * 14);
      next = next[0]!.toUpperCase() + next.slice(1);
    } else if (left === 0) next += '.';
    if (line.length + next.length + 1 > LINE_CHARS) {
      lines.push(line);
      length += line.length + 2;
      if (random() < 0.08) lines.push('');
      line = next;
    } else line = line === '' ? next : `${line} ${next}`;
  }
  return lines;
}

function attachment(random: () => number, bytes: number): string[] {
  const raw = Buffer.from(Array.from({ length: Math.floor((bytes * 57) / 78) }, () => Math.floor(random() * 256)));
  Buffer.from([0xff, 0xd8, 0xff, 0xe0]).copy(raw);
  const lines = raw.toString('base64').match(/.{1,76}/g) ?? [];
  // '@' is no base64; the stamp that replaces it is.
  lines[1] = STAMP + lines[1]!.slice(STAMP_CHARS);
  return lines;
}

const html = (lines: readonly string[]): string[] => [
  '<!DOCTYPE html>',
  '<html><head><meta charset="utf-8"><title>Notes</title></head>',
  '<body style="font-family: sans-serif; color: #222">',
  ...lines.map((line) => (line === '' ? '</p><p>' : line)),
  '</body></html>',
];

function template(i: number, sizeBytes: number, word: () => string, random: () => number): Template {
  const from = `${word()}.${word()}${i}@sender${i % 7}.example`;
  const boundary = `=_part_${i}_${Math.floor(random() * 1e9).toString(36)}`;
  const body = sizeBytes - 700;
  const part = (type: string, encoding: string, lines: readonly string[]): string[] => [
    `--${boundary}`,
    `Content-Type: ${type}`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    ...lines,
  ];
  const attached = sizeBytes > 20_000;
  const alternative = !attached && i % 2 === 1;
  const text = prose(word, random, attached ? 4000 : alternative ? body * 0.42 : body);
  let type = 'text/plain; charset=utf-8';
  let lines: string[] = [`Reference ${STAMP}`, '', ...text];
  if (attached) {
    type = `multipart/mixed; boundary="${boundary}"`;
    const file = attachment(random, body - 4400);
    const image = part('image/jpeg; name="photo.jpg"', 'base64', file);
    image.splice(2, 0, 'Content-Disposition: attachment; filename="photo.jpg"');
    lines = [...part('text/plain; charset=utf-8', '7bit', lines), ...image, `--${boundary}--`];
  } else if (alternative) {
    type = `multipart/alternative; boundary="${boundary}"`;
    const page = html(prose(word, random, body * 0.48));
    lines = [
      ...part('text/plain; charset=utf-8', '7bit', lines),
      ...part('text/html; charset=utf-8', '7bit', page),
      `--${boundary}--`,
    ];
  }
  const subject = Array.from({ length: 5 }, word).join(' ');
  const all = [
    `Received: from mx.sender${i % 7}.example (mx.sender${i % 7}.example [192.0.2.${1 + (i % 200)}])`,
    `\tby front.example with ESMTPS id ${STAMP}; Mon, ${10 + (i % 15)} Nov 2025 09:${10 + (i % 50)}:01 +0000`,
    `From: "${word()} ${word()}" <${from}>`,
    'To: <team@mail.localhost>',
    `Subject: ${subject}`,
    `Date: Mon, ${10 + (i % 15)} Nov 2025 09:${10 + (i % 50)}:00 +0000`,
    `Message-ID: <${STAMP}.${i}@sender${i % 7}.example>`,
    'MIME-Version: 1.0',
    `Content-Type: ${type}`,
    '',
    ...lines,
    '',
  ].join('\r\n');
  const bytes = Buffer.from(all, 'latin1');
  const marks: number[] = [];
  for (let at = bytes.indexOf(STAMP); at >= 0; at = bytes.indexOf(STAMP, at + STAMP_CHARS)) marks.push(at);
  return { bytes, from, marks };
}

/** Endless messages of about one size. */
export class MessageSource {
  readonly #templates: readonly Template[];
  readonly #run: string;
  #made = 0;

  constructor(sizeBytes: number, templates = 64) {
    const random = seeded(sizeBytes);
    const word = makeVocabulary(random);
    this.#templates = Array.from({ length: templates }, (_, i) => template(i, sizeBytes, word, random));
    // Runs on a kept data folder differ, too.
    this.#run = Math.floor(Date.now() / 1000).toString(36);
  }

  next(): { readonly from: string; readonly bytes: Buffer } {
    const made = this.#made++;
    const { bytes, from, marks } = this.#templates[made % this.#templates.length]!;
    const stamp = (this.#run + made.toString(36).padStart(STAMP_CHARS, '0').slice(this.#run.length)).slice(
      0,
      STAMP_CHARS,
    );
    const copy = Buffer.from(bytes);
    for (const mark of marks) copy.write(stamp, mark, 'latin1');
    return { from, bytes: copy };
  }
}
