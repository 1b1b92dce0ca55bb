/** What a signal's step means, in words for people: as a fact about the message, whichever way it counts. */

import { SIGNAL_STEPS, SIGNALS, type Signal } from './schema.ts';

const RESULTS = [
  '',
  'passed',
  'failed',
  'failed softly',
  'is neutral',
  'is not used',
  'could not be checked',
  'is broken',
];

const WORDS: Readonly<Record<Signal, string | ((step: number) => string)>> = {
  spf: (step) => `SPF ${RESULTS[step]}`,
  dkim: (step) => `DKIM ${RESULTS[step]}`,
  dmarc: (step) => `DMARC ${RESULTS[step]}`,
  arc: (step) => `ARC ${RESULTS[step]}`,
  nullSender: 'empty return address',
  senderMismatch: (step) => (step === 1 ? 'return address fits the sender' : 'return address of another organisation'),
  heloShape: 'server gives no proper name',
  clientKind: 'server uses IPv6',
  plaintext: 'came without encryption',
  messageIdShape: (step) => (step === 1 ? 'no Message-ID' : 'odd Message-ID'),
  messageIdMismatch: (step) => (step === 1 ? 'Message-ID fits the sender' : 'Message-ID of another organisation'),
  dateShape: (step) => (step === 1 ? 'no Date' : 'odd Date'),
  fromShape: (step) =>
    ['', 'no From', 'From without an address', 'digits in the sender address', 'sender without a name'][step] ??
    'odd From',
  fromNameAddress: 'address in the sender name',
  replyToMismatch: (step) => (step === 1 ? 'replies go to the sender' : 'replies go elsewhere'),
  subjectShape: (step) => (step === 1 ? 'no Subject' : step === 2 ? 'empty subject' : 'odd subject'),
  subjectCapitals: 'capitals in the subject',
  subjectMarks: 'exclamation or currency marks in the subject',
  replyWithoutReference: (step) => (step === 2 ? 'a reply to nothing' : 'part of a conversation'),
  recipientsShape: 'no proper recipient in To',
  fieldCount: 'number of header fields',
  mimeVersion: 'MIME header is not as usual',
  priority: (step) => (step === 2 ? 'marked as urgent' : 'priority is given'),
  mailerMissing: 'no mail program named',
  rawEightBit: 'raw 8-bit header',
  structure: (step) =>
    ['', 'nothing to read', 'HTML only', 'HTML only', 'text and HTML', 'text and HTML mixed'][step] ?? 'structure',
  charsetKind: 'choice of character set',
  htmlShare: 'amount of HTML text',
  tagDensity: 'amount of markup',
  images: 'number of images',
  links: 'number of links',
  linkHosts: 'links to many hosts',
  linkAddress: 'link to a bare address',
  linkDisguise: 'disguised link',
  forms: 'form to fill in',
  scripts: 'script in the text',
  hiddenText: 'hidden text',
  htmlComments: 'comments in the markup',
  zeroWidth: 'invisible characters in words',
  directionMarks: 'marks that turn the direction of writing',
  confusables: 'look-alike letters of another script',
  compatibility: 'letters in an odd form',
  attachments: 'number of attachments',
  attachmentRisk: (step) =>
    step === 2 ? 'attachment is a program' : 'attachment is an archive or document that can act',
  encodedText: (step) => (step === 2 ? 'text is base64-encoded' : 'text is quoted-printable'),
  textLength: 'length of the text',
  capitals: 'share of capitals',
  digits: 'share of digits',
  exclamations: 'exclamation marks',
  money: 'currency signs',
  longLines: 'very long lines',
  wordLength: 'length of words',
};

/** A bucket of the signals group, in words. */
export function signalPhrase(bucket: number): string {
  const words = WORDS[SIGNALS[Math.floor(bucket / SIGNAL_STEPS)]!];
  return typeof words === 'string' ? words : words(bucket % SIGNAL_STEPS);
}
