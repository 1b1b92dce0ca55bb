/**
 * The dense signals: each a step from 0 (unknown or usual) to 7. Steps are cut points fixed by the schema, so they need
 * no standardising and can never be NaN.
 */

import type { AuthenticationFacts } from './authentication-facts.ts';
import type { WordCounts } from './content-tokens.ts';
import type { Link } from './links.ts';
import type { NormalisedText } from './normalise.ts';
import { SIGNALS, type Signal } from './schema.ts';
import { addressIn, domainOf, organisationOf, type Sender } from './sender.ts';
import { isTraceField } from './trace-fields.ts';
import type { MessageView } from './view.ts';

interface SignalInput {
  readonly view: MessageView;
  readonly sender: Sender;
  readonly subject: string;
  readonly fromName: string;
  readonly envelopeSender: string | null;
  readonly helo: string | null;
  readonly clientAddress: string | null;
  readonly tls: boolean | null;
  readonly authentication: AuthenticationFacts | null;
  /** Everything that normalising took away, summed over subject and texts. */
  readonly removed: Omit<NormalisedText, 'text'>;
  readonly words: WordCounts;
  readonly links: readonly Link[];
  /** Visible text before lower-casing, first part of it. */
  readonly sample: string;
}

const RESULT_STEPS: Readonly<Record<string, number>> = {
  pass: 1,
  fail: 2,
  softfail: 3,
  neutral: 4,
  none: 5,
  temperror: 6,
  permerror: 7,
};

/** The number of cut points that the value has reached. */
function step(value: number, cuts: readonly number[]): number {
  let reached = 0;
  while (reached < cuts.length && value >= cuts[reached]!) reached++;
  return reached;
}

const PLACE = new Map<Signal, number>(SIGNALS.map((signal, place) => [signal, place]));

const RISKY = /\.(?:exe|scr|pif|com|bat|cmd|vbs?|js|jse|wsf|hta|lnk|cpl|jar|msi|ps1|iso|img)$/i;
const ARCHIVE = /\.(?:zip|rar|7z|gz|tgz|ace|cab|arj|html?|docm|xlsm|pptm)$/i;

export function readSignals(input: SignalInput, out: Uint8Array): void {
  out.fill(0);
  const put = (signal: Signal, value: number): void => {
    out[PLACE.get(signal)!] = value;
  };
  const fields = new Map<string, string>();
  for (const { name, value } of input.view.fields) if (!fields.has(name)) fields.set(name, value);
  putAuthentication(input, put);
  putHeader(input, fields, put);
  putBody(input, put);
  putText(input, put);
}

type Put = (signal: Signal, value: number) => void;

function putAuthentication(
  { authentication, sender, envelopeSender, helo, clientAddress, tls }: SignalInput,
  put: Put,
): void {
  if (authentication !== null) {
    put('spf', RESULT_STEPS[authentication.spf] ?? 0);
    put('dkim', RESULT_STEPS[authentication.dkim] ?? 0);
    put('dmarc', RESULT_STEPS[authentication.dmarc] ?? 0);
    put('arc', authentication.arc === 'none' ? 0 : (RESULT_STEPS[authentication.arc] ?? 0));
  }
  if (envelopeSender !== null) {
    put('nullSender', envelopeSender === '' ? 1 : 0);
    const same = organisationOf(domainOf(envelopeSender.toLowerCase())) === sender.organisation;
    if (envelopeSender !== '') put('senderMismatch', same ? 1 : 2);
  }
  if (helo !== null)
    put('heloShape', helo.startsWith('[') ? 1 : !helo.includes('.') ? 2 : /^[\d.]+$/.test(helo) ? 3 : 0);
  if (clientAddress !== null)
    put('clientKind', clientAddress.includes(':') && !clientAddress.startsWith('::ffff:') ? 1 : 0);
  if (tls !== null) put('plaintext', tls ? 0 : 1);
}

function putHeader(input: SignalInput, fields: ReadonlyMap<string, string>, put: Put): void {
  const { sender, subject, fromName, view } = input;
  const from = fields.get('from') ?? '';
  const messageId = fields.get('message-id') ?? '';
  const at = messageId.indexOf('@');
  put(
    'messageIdShape',
    messageId === '' ? 1 : at === -1 ? 2 : !messageId.includes('<') ? 3 : messageId.length > 120 ? 4 : 0,
  );
  if (at !== -1 && sender.organisation !== '') {
    const host = messageId
      .slice(at + 1)
      .replace(/>.*$/s, '')
      .toLowerCase();
    put('messageIdMismatch', organisationOf(host) === sender.organisation ? 1 : host.includes('.') ? 2 : 3);
  }
  const date = fields.get('date');
  // RFC 5322 §3.3: a zone is a sign and four digits; names are obsolete.
  put(
    'dateShape',
    date === undefined
      ? 1
      : !/[+-]\d{4}\s*(?:\(|$)/.test(date.slice(0, 100))
        ? 2
        : !/^\s?[A-Z][a-z]{2}, /.test(date)
          ? 3
          : 0,
  );
  put(
    'fromShape',
    from === ''
      ? 1
      : !sender.address.includes('@')
        ? 2
        : /\d{3}/.test(sender.address.split('@')[0]!)
          ? 3
          : fromName === ''
            ? 4
            : 0,
  );
  put('fromNameAddress', !fromName.includes('@') ? 0 : fromName.includes(sender.organisation) ? 1 : 2);
  const replyTo = fields.get('reply-to');
  if (replyTo !== undefined && replyTo.trim() !== '') {
    const organisation = organisationOf(domainOf(addressIn(replyTo)));
    put('replyToMismatch', organisation === sender.organisation ? 1 : 2);
  }
  const letters = subject.replace(/[^\p{L}]/gu, '');
  put(
    'subjectShape',
    fields.get('subject') === undefined
      ? 1
      : subject.trim() === ''
        ? 2
        : /\s{5}/.test(subject)
          ? 3
          : /[^\s!-~]/.test(subject)
            ? 4
            : 0,
  );
  const upper = letters.replace(/[^\p{Lu}]/gu, '').length;
  put('subjectCapitals', letters.length < 8 ? 0 : step(upper / letters.length, [0.3, 0.6, 0.9]));
  put('subjectMarks', step(subject.replace(/[^!$%*?]/g, '').length, [1, 2, 4]));
  const reply = /^\s*(?:re|aw|sv)\s?:/i.test(subject);
  const references = fields.has('in-reply-to') || fields.has('references');
  put('replyWithoutReference', reply ? (references ? 1 : 2) : references ? 3 : 0);
  const to = fields.get('to');
  put(
    'recipientsShape',
    to === undefined ? 1 : /undisclosed|recipient/i.test(to.slice(0, 200)) ? 2 : !to.includes('@') ? 3 : 0,
  );
  put('fieldCount', step(view.fields.filter((field) => !isTraceField(field.name)).length, [4, 6, 8, 11, 15]));
  put('mimeVersion', fields.has('mime-version') ? 0 : view.root.type === 'text' && !fields.has('content-type') ? 1 : 2);
  const priority = fields.get('x-priority') ?? '';
  put('priority', priority === '' ? 0 : /^\s?[12]/.test(priority) ? 2 : 1);
  put('mailerMissing', fields.has('x-mailer') || fields.has('user-agent') ? 0 : fields.has('x-mimeole') ? 2 : 1);
  put('rawEightBit', /[\x80-\xff]/.test(from + (fields.get('subject') ?? '')) ? 1 : 0);
}

function putBody({ view, links, sample }: SignalInput, put: Put): void {
  const { root, texts, attachments } = view;
  const html = texts.filter((text) => text.html !== null);
  const plain = texts.length - html.length;
  put(
    'structure',
    texts.length === 0
      ? 1
      : html.length === 0
        ? 0
        : plain === 0
          ? root.type === 'multipart'
            ? 2
            : 3
          : root.subtype === 'alternative'
            ? 4
            : 5,
  );
  const charset = texts[0]?.charset ?? '';
  put(
    'charsetKind',
    charset === ''
      ? 1
      : charset === 'us-ascii' || charset === 'utf-8'
        ? 0
        : /^(?:iso-8859-1|windows-1252|iso-8859-15)$/.test(charset)
          ? 2
          : /^(?:gb|big5|euc|ks_c|iso-2022|koi8|windows-1251)/.test(charset)
            ? 3
            : 4,
  );
  put(
    'encodedText',
    texts.some((text) => text.encoding === 'base64')
      ? 2
      : texts.some((text) => text.encoding === 'quoted-printable')
        ? 1
        : 0,
  );
  let tags = 0;
  let images = 0;
  let anchors = 0;
  let forms = 0;
  let scripts = 0;
  let hidden = 0;
  let comments = 0;
  let htmlText = 0;
  for (const { html: markup } of html) {
    tags += markup!.tags;
    images += markup!.images;
    anchors += markup!.links;
    forms += markup!.forms;
    scripts += markup!.scripts;
    hidden += markup!.hiddenBytes;
    comments += markup!.commentBytes;
    htmlText += markup!.text.length;
  }
  if (html.length > 0) {
    put('htmlShare', 1 + step(htmlText, [50, 300, 1000, 3000, 10_000]));
    put('tagDensity', 1 + step(tags / (htmlText + 100), [0.02, 0.05, 0.1, 0.2, 0.5]));
  }
  put('images', step(images, [1, 2, 5, 10, 20]));
  put('links', step(Math.max(links.length, anchors), [1, 2, 4, 8, 16, 32]));
  put('linkHosts', step(new Set(links.map((link) => link.host)).size, [2, 3, 5, 8]));
  put('linkAddress', links.some((link) => link.address) ? 1 : 0);
  put('linkDisguise', links.some((link) => link.user) ? 2 : links.some((link) => link.port) ? 1 : 0);
  put('forms', step(forms, [1]));
  put('scripts', step(scripts, [1]));
  put('hiddenText', step(hidden, [1, 100, 1000]));
  put('htmlComments', step(comments, [1, 100, 1000]));
  put('attachments', step(attachments.length, [1, 2, 4]));
  put(
    'attachmentRisk',
    attachments.some((one) => RISKY.test(one.filename))
      ? 2
      : attachments.some((one) => ARCHIVE.test(one.filename))
        ? 1
        : 0,
  );
  put('textLength', 1 + step(sample.length, [40, 200, 600, 1500, 3000]));
}

function putText({ removed, words, sample }: SignalInput, put: Put): void {
  put('zeroWidth', step(removed.zeroWidth, [1, 4, 16]));
  put('directionMarks', step(removed.directionMarks, [1, 4]));
  put('confusables', step(removed.confusables, [1, 4, 16]));
  put('compatibility', step(removed.compatibility, [1, 4, 16]));
  let upper = 0;
  let lower = 0;
  let digits = 0;
  let exclamations = 0;
  let money = 0;
  let line = 0;
  let longest = 0;
  for (let i = 0; i < sample.length; i++) {
    const code = sample.charCodeAt(i);
    if (code >= 0x61 && code <= 0x7a) lower++;
    else if (code >= 0x41 && code <= 0x5a) upper++;
    else if (code >= 0x30 && code <= 0x39) digits++;
    else if (code === 0x21) exclamations++;
    else if (code === 0x24 || code === 0x20ac || code === 0xa3) money++;
    if (code === 0x0a) line = 0;
    else if (++line > longest) longest = line;
  }
  if (upper + lower >= 40) put('capitals', step(upper / (upper + lower), [0.05, 0.1, 0.2, 0.4, 0.7]));
  if (sample.length >= 40) put('digits', step(digits / sample.length, [0.02, 0.05, 0.1]));
  put('exclamations', step(exclamations, [1, 3, 6, 12]));
  put('money', step(money, [1, 3, 8]));
  put('longLines', step(longest, [80, 200, 1000]));
  if (words.words >= 10) put('wordLength', step(words.units / words.words, [3.5, 4, 4.5, 5, 6]));
}
