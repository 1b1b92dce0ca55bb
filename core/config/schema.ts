/**
 * The only list of options. A name is written once, here: its environment variable, its line in the configuration file,
 * its type in `Config`, its row in docs/config.md and its check at the start all follow from it.
 */

import { ROLE_NAMES, SERVICES } from '../mesh/roles.ts';
import { envName, type Option, type Spec, unitOf, type Value } from './option.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const S = 1000;
const MIN = 60 * S;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;

type More = Partial<Pick<Spec, 'min' | 'max' | 'reload'>>;

const spec = <V extends Value>(
  type: Spec['type'],
  value: V,
  doc: string,
  more: Partial<Omit<Spec, 'type' | 'default' | 'doc'>> = {},
): Spec<V> => ({
  type,
  default: value,
  doc,
  none: undefined,
  min: 0,
  max: Number.MAX_SAFE_INTEGER,
  choices: [],
  since: '0.1.0',
  reload: 'start',
  secret: false,
  ...more,
});

const port = (value: number, doc: string) => spec<number | null>('port', value, doc, { none: 'off', max: 65_535 });
const bytes = (value: number, doc: string, more: More = {}) => spec<number>('bytes', value, doc, { min: 1, ...more });
const time = (value: number, doc: string, more: More = {}) => spec<number>('duration', value, doc, { min: 1, ...more });
const count = (value: number, doc: string, more: More = {}) => spec<number>('integer', value, doc, { min: 1, ...more });
const flag = (value: boolean, doc: string) => spec<boolean>('boolean', value, doc);
const choice = <C extends string>(value: C, choices: readonly C[], doc: string) =>
  spec<C>('choice', value, doc, { choices });

/** Options by section of docs/config.md. A value that may be null has a word for it (`off`, `none`, …). */
const SCHEMA = {
  General: {
    config: spec<string | null>('path', null, 'File with options, one `name = value` a line, or one JSON object.', {
      none: 'none',
    }),
    dataDir: spec<string>('path', './data', 'Folder that holds everything; made at the first start.'),
    domain: spec<string>('domain', 'mail.localhost', 'Domain that the first accounts are made in.'),
    hostname: spec<string | null>(
      'domain',
      null,
      'Name in greetings, in Received and in Authentication-Results. `domain`: that of MAILMESH_DOMAIN.',
      { none: 'domain' },
    ),
    logLevel: choice('info', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'Least level logged.'),
    drainTimeoutMs: time(30 * S, 'At SIGTERM or Ctrl-C: how long running transactions may take to end.', {
      max: 10 * MIN,
    }),
  },
  Mesh: {
    mongoUrl: spec<string | null>(
      'url',
      null,
      'MongoDB that holds everything, with user and password (docs/deployment.md). `none`: this machine holds it.',
      { none: 'none', secret: true, choices: ['mongodb'] },
    ),
    natsUrl: spec<string | null>(
      'url',
      null,
      'NATS with JetStream by which nodes find each other, with user and password or a token; `tls://` asks for TLS. Several addresses are parted by commas.',
      { none: 'none', secret: true, choices: ['nats'] },
    ),
    nodeId: spec<string | null>(
      'name',
      null,
      'Name of this node in the mesh, unique there. `auto`: made of host name, process id and a random part.',
      { none: 'auto' },
    ),
    role: spec<string>('list', 'all', 'What this node does in the mesh.', { choices: ROLE_NAMES }),
    services: spec<string | null>('list', null, 'Services that this node runs, instead of those of its role.', {
      none: 'by-role',
      choices: SERVICES,
    }),
  },
  Listeners: {
    bind: spec<string>('host', '127.0.0.1', 'Address that every listener is bound to; `0.0.0.0` or `::` for all.'),
    smtpPort: port(2525, 'SMTP for the world, with STARTTLS.'),
    submissionPort: port(2587, 'Submission by users, with STARTTLS.'),
    submissionsPort: port(2465, 'Submission by users over TLS.'),
    lmtpPort: port(2424, 'LMTP for a front server.'),
    imapPort: port(2143, 'IMAP with STARTTLS.'),
    imapsPort: port(2993, 'IMAP over TLS.'),
    pop3Port: port(2110, 'POP3 with STLS.'),
    pop3sPort: port(2995, 'POP3 over TLS.'),
    httpPort: port(8080, 'REST API, health and metrics.'),
    connectionsMax: count(10_000, 'Connections to all listeners together; one more is refused.'),
    connectionsPerAddressMax: count(
      2_000,
      'Connections from one client address to all listeners together; on a public address rather 50.',
    ),
  },
  'TLS and login': {
    tlsCert: spec<string | null>(
      'path',
      null,
      'PEM file with the certificate and its chain, read again when it changes. `self`: a self-signed one is made.',
      { none: 'self', reload: 'live' },
    ),
    tlsKey: spec<string | null>('path', null, 'PEM file with the key of MAILMESH_TLS_CERT.', {
      none: 'self',
      reload: 'live',
    }),
    insecureAuth: flag(false, 'Login without TLS. Refused unless MAILMESH_BIND is loopback.'),
    tlsHandshakeTimeoutMs: time(30 * S, 'From connecting, or from STARTTLS, to the end of the handshake.'),
    authFailuresFree: count(5, 'Wrong passwords by one address or for one account before the back-off begins.'),
    authBackoffMs: time(1 * S, 'First pause after that; it doubles with each further failure.'),
    authBackoffMsMax: time(15 * MIN, 'Longest pause.'),
  },
  Receiving: {
    sizeBytesMax: bytes(50 * MiB, 'Largest message taken by SMTP, LMTP, APPEND and import (552 5.3.4).', {
      min: 64 * KiB,
      max: 2 ** 31,
    }),
    // RFC 5321 §4.5.3.1.8: at least 100 recipients must be taken.
    recipientsMax: count(1_000, 'Recipients of one message (452 4.5.3).', { min: 100, max: 50_000 }),
    commandsMax: count(2_500, 'Commands since the connection began or the last message was accepted (421 4.7.0).', {
      min: 50,
    }),
    errorsMax: count(50, 'Commands answered with an error in one connection (421 4.7.0).'),
    // RFC 5321 §4.5.3.2.7: a server should wait at least 5 minutes for the next command.
    smtpCommandTimeoutMs: time(5 * MIN, 'Wait for the next command.', { min: 1 * S }),
    smtpGreetingTimeoutMs: time(1 * MIN, 'Wait for the first command.', { min: 1 * S }),
    smtpDataTimeoutMs: time(3 * MIN, 'Wait for the next piece of a message.', { min: 1 * S }),
    smtpDataTotalTimeoutMs: time(30 * MIN, 'Whole time of one DATA, however steadily it trickles.', { min: 1 * S }),
    headerBytesMax: bytes(1 * MiB, 'Header of a message taken by SMTP or LMTP (552 5.3.4).', { min: 16 * KiB }),
    headerFieldsMax: count(10_000, 'Fields in it (552 5.3.4).', { min: 100 }),
    // RFC 5321 §6.3: at least 100 Received fields before a loop is assumed.
    receivedMax: count(100, 'Received fields; with more a message is refused as looping (554 5.4.6).', { min: 100 }),
    catchAll: flag(true, "Mail for unknown addresses goes to the domain's catch-all account where one is set."),
    subaddressSeparator: spec<string | null>('string', '+', 'What parts user and tag in `user+tag`.', {
      none: 'off',
      max: 1,
    }),
    subaddressMailbox: flag(true, 'Mail for `user+tag` goes into the mailbox `tag` when there is one; else to INBOX.'),
    resolverTimeoutMs: time(5 * S, 'Longest wait for one DNS answer.', { max: 1 * MIN }),
    resolverServers: spec<string>('string', '', "DNS servers, parted by commas; empty: the system's.", { max: 500 }),
    queueMessagesMax: count(100_000, 'Messages on their way from which on no more are taken for now (452 4.3.1).'),
    traceRetentionMs: time(30 * DAY, 'How long the way of a finished message can be traced.', { min: 1 * HOUR }),
  },
  Mailboxes: {
    quotaDefaultBytes: spec<number | null>('bytes', null, 'Quota of accounts made without one.', { none: 'none' }),
    quotaDefaultMessages: spec<number | null>('integer', null, 'Likewise, in messages.', { none: 'none' }),
    mailboxesMax: count(10_000, 'Mailboxes of one account.'),
    // RFC 9051 §5.4: at least 30 minutes once logged in.
    imapIdleTimeoutMs: time(31 * MIN, 'IMAP: autologout after login.', { min: 30 * MIN }),
    imapLoginTimeoutMs: time(3 * MIN, 'IMAP: autologout before login.', { min: 1 * S }),
    // RFC 1939 §3: at least 10 minutes.
    pop3IdleTimeoutMs: time(10 * MIN, 'POP3: autologout after login.', { min: 10 * MIN }),
    pop3LoginTimeoutMs: time(3 * MIN, 'POP3: autologout before login.', { min: 1 * S }),
    blobGraceMs: time(24 * HOUR, 'How long a blob that nothing refers to is kept.', { min: 1 * HOUR }),
    shards: count(2, 'Databases that accounts are spread over; fixed at the first start.', { max: 64 }),
  },
  Spam: {
    spamThreshold: spec<number | null>(
      'number',
      null,
      "From this probability on a message goes to Junk. `model`: the model's own threshold.",
      {
        none: 'model',
        max: 1,
      },
    ),
    trainingLabelsMin: count(1_000, 'New labels that make a new candidate model.'),
    trainingIntervalMs: time(6 * HOUR, 'A candidate is made after this time too, when there is any new label.', {
      min: 1 * S,
    }),
    modelsKept: count(5, 'Versions kept, besides the active one and its parent.', { max: 1_000 }),
  },
} as const;

type Sections = typeof SCHEMA;
type SpecOf<Name> = {
  [G in keyof Sections]: Name extends keyof Sections[G] ? Sections[G][Name] : never;
}[keyof Sections];
type Names = { [G in keyof Sections]: keyof Sections[G] }[keyof Sections];
type Settings = { [N in Names]: SpecOf<N> extends Spec<infer V> ? V : never };

/** All options with their values, frozen; made by `loadConfig` only. */
export type Config = Readonly<Omit<Settings, 'hostname'>> & {
  /** Never null here: the domain where none is set. */
  readonly hostname: string;
};

export const OPTIONS: readonly Option[] = Object.entries(SCHEMA).flatMap(([group, specs]) =>
  Object.entries(specs as Record<string, Spec>).map(([name, one]) => ({
    ...one,
    name,
    env: envName(name),
    unit: unitOf(one.type),
    group,
  })),
);
