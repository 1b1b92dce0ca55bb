/**
 * The feature schema: which groups of hashed features a message is turned into, how many buckets each has, and the dense
 * signals. Stored features and models carry the schema's number; any change that gives a message other buckets raises it.
 */

export const SCHEMA = 1;

/**
 * raw: 4-grams of the first bytes; header: header tokens; content: words, bigrams, links and attachment names; text:
 * 4-grams of Subject and visible text; route: the hosts and lists a message came through, which mean something only to
 * the site that learned them, so a seed model has none; signals: the dense signals, one bucket for each signal and step.
 */
export const GROUPS = ['raw', 'header', 'content', 'text', 'route', 'signals'] as const;

export const RAW = 0;
export const HEADER = 1;
export const CONTENT = 2;
export const TEXT = 3;
export const ROUTE = 4;
export const SIGNAL = 5;

/** The hashed groups have 2^18 buckets: as good as 2^22 for mail, and a model's group fits a processor's cache. */
const BUCKET_BITS = 18;
const BUCKETS = 1 << BUCKET_BITS;

const ROUTE_BUCKETS = 1 << 16;

/** Steps of a signal; step 0 means unknown or usual and is no feature, so a signal that was not measured says nothing. */
export const SIGNAL_STEPS = 8;

/** In order: the place is the signal's number. The first ENVIRONMENT_SIGNALS say how a message came, not what it is. */
export const SIGNALS = [
  'spf',
  'dkim',
  'dmarc',
  'arc',
  'nullSender',
  'senderMismatch',
  'heloShape',
  'clientKind',
  'plaintext',
  'messageIdShape',
  'messageIdMismatch',
  'dateShape',
  'fromShape',
  'fromNameAddress',
  'replyToMismatch',
  'subjectShape',
  'subjectCapitals',
  'subjectMarks',
  'replyWithoutReference',
  'recipientsShape',
  'fieldCount',
  'mimeVersion',
  'priority',
  'mailerMissing',
  'rawEightBit',
  'structure',
  'charsetKind',
  'htmlShare',
  'tagDensity',
  'images',
  'links',
  'linkHosts',
  'linkAddress',
  'linkDisguise',
  'forms',
  'scripts',
  'hiddenText',
  'htmlComments',
  'zeroWidth',
  'directionMarks',
  'confusables',
  'compatibility',
  'attachments',
  'attachmentRisk',
  'encodedText',
  'textLength',
  'capitals',
  'digits',
  'exclamations',
  'money',
  'longLines',
  'wordLength',
] as const;
export type Signal = (typeof SIGNALS)[number];
export const ENVIRONMENT_SIGNALS = SIGNALS.indexOf('messageIdShape');

const SIGNAL_BUCKETS = SIGNALS.length * SIGNAL_STEPS;

/** Number of buckets of each group, by its place in GROUPS. */
export const GROUP_BUCKETS: readonly number[] = [BUCKETS, BUCKETS, BUCKETS, BUCKETS, ROUTE_BUCKETS, SIGNAL_BUCKETS];

/** A message's distinct buckets by group: the first `counts[g]` of `lists[g]`. What models score and learn. */
export interface FeatureLists {
  readonly lists: readonly Uint32Array[];
  readonly counts: Int32Array;
}
