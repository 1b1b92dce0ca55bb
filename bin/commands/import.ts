/** `mailmesh import`: brings mail in from files and from other servers. */

import { resolve } from 'node:path';
import { type Command, type Context, readPassword, type Verb, type VerbOption } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatSize, formatSpan, printable } from '../format.ts';
import { openEml } from '../mail/eml-source.ts';
import { type ImportReport, runImport } from '../mail/import-run.ts';
import { openMaildir } from '../mail/maildir.ts';
import { openMbox } from '../mail/mbox-source.ts';
import { ResumeFile } from '../mail/resume-file.ts';
import type { OpenSource } from '../mail/source.ts';
import { Progress } from '../progress.ts';
import { importInstallation } from './transfer.ts';

const NOTES = [
  'Importing the same source again adds nothing twice (for 7 days); an interrupted import goes on where it was.',
];
const MAILBOX: Readonly<Record<string, VerbOption>> = {
  mailbox: { type: 'string', value: 'NAME', doc: 'put everything into this mailbox' },
};
const SHOWN_FAILURES = 20;

const text = (value: string | boolean | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

function human(report: ImportReport, ms: number): string {
  const failed = report.failed
    .slice(0, SHOWN_FAILURES)
    .map(({ mailbox, key, why }) => `  failed: ${printable(`${mailbox} ${key}: ${why}`)}`);
  const more = report.failed.length - failed.length;
  return [
    ...failed,
    ...(more > 0 ? [`  and ${more} more`] : []),
    `Imported ${report.imported} messages in ${formatSpan(ms)}; ${report.duplicates} were there already, ${report.failed.length} failed (${formatSize(report.bytes)} in all).`,
  ].join('\n');
}

async function importFrom(context: Context, identity: readonly string[], open: OpenSource): Promise<number> {
  const client = await context.client();
  const { id, address } = await client.call('account.get', { account: context.args[0]! });
  const { dataDir } = await context.config();
  const resume = new ResumeFile(dataDir, [id, ...identity], context.io.now);
  const source = await open(await resume.load());
  try {
    const progress = new Progress({
      label: `Importing into ${address}`,
      total: source.total,
      stream: context.io.err,
      now: context.io.now,
    });
    const report = await runImport({ client, account: id, source, progress, resume }).finally(() => progress.end());
    const ms = progress.end();
    context.show({ account: address, ...report, ms }, () => human(report, ms));
    return report.failed.length === 0 ? 0 : 1;
  } finally {
    await source.close();
  }
}

const mbox: Verb = {
  name: 'mbox',
  args: ['ACCOUNT', 'SOURCE'],
  summary: 'From an mbox file into INBOX, or from a folder of NAME.mbox files into mailboxes of those names.',
  notes: NOTES,
  options: {
    ...MAILBOX,
    mboxo: { type: 'boolean', doc: 'take only ">From " as quoted, not ">>From " and more' },
  },
  examples: [
    'mailmesh import mbox alice@mail.localhost ~/old.mbox --mailbox Archive',
    'mailmesh import mbox alice@mail.localhost ./export',
  ],
  run(context) {
    const path = resolve(context.args[1]!);
    const mailbox = text(context.flags.mailbox);
    const quoting = context.flags.mboxo === true ? 'mboxo' : 'mboxrd';
    return importFrom(context, ['mbox', path, mailbox ?? '', quoting], openMbox(path, { mailbox, quoting }));
  },
};

const maildir: Verb = {
  name: 'maildir',
  args: ['ACCOUNT', 'SOURCE'],
  summary: 'From a Maildir or Maildir++ folder with its subfolders, flags and keywords.',
  notes: NOTES,
  options: MAILBOX,
  examples: ['mailmesh import maildir alice@mail.localhost ~/Maildir'],
  run(context) {
    const path = resolve(context.args[1]!);
    return importFrom(context, ['maildir', path], openMaildir(path, { mailbox: text(context.flags.mailbox) }));
  },
};

const eml: Verb = {
  name: 'eml',
  args: ['ACCOUNT', 'SOURCE'],
  summary: 'From a folder of .eml files: those in subfolders go into mailboxes of those names, others into INBOX.',
  notes: NOTES,
  options: MAILBOX,
  examples: ['mailmesh import eml alice@mail.localhost ./messages', 'mailmesh import eml alice@mail.localhost one.eml'],
  run(context) {
    const path = resolve(context.args[1]!);
    return importFrom(context, ['eml', path], openEml(path, { mailbox: text(context.flags.mailbox) }));
  },
};

/** `host`, `host:port`, `[::1]:port`. */
function hostAndPort(source: string, tls: boolean): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s]+))(?::(\d{1,5}))?$/.exec(source);
  if (match === null) throw new UsageError(`"${source}": a server such as imap.example.org or imap.example.org:993`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3] ?? (tls ? 993 : 143)) };
}

const imap: Verb = {
  name: 'imap',
  args: ['ACCOUNT', 'SERVER'],
  summary: "From another IMAP server's account: all of its mailboxes with flags and dates. Nothing is changed there.",
  notes: NOTES,
  options: {
    user: { type: 'string', value: 'NAME', doc: 'user name there' },
    'password-stdin': { type: 'boolean', doc: 'take its password from the first line of standard input' },
    only: { type: 'string', value: 'NAME', doc: 'only this mailbox of theirs' },
    ...MAILBOX,
    starttls: { type: 'boolean', doc: 'begin without TLS and switch by STARTTLS (port 143)' },
    insecure: { type: 'boolean', doc: 'take a certificate that cannot be checked' },
  },
  examples: [
    'mailmesh import imap alice@mail.localhost imap.example.org --user alice --password-stdin < password.txt',
    'mailmesh import imap alice@mail.localhost imap.example.org:143 --starttls --user alice --password-stdin --only Sent',
  ],
  async run(context) {
    const { flags } = context;
    const user = text(flags.user);
    if (user === undefined || flags['password-stdin'] !== true)
      throw new UsageError('import imap wants --user NAME and --password-stdin');
    const tls = flags.starttls !== true;
    const { host, port } = hostAndPort(context.args[1]!, tls);
    const password = await readPassword(context.io);
    const [only, mailbox] = [text(flags.only), text(flags.mailbox)];
    // Loaded only here: it is a whole mail client.
    const { openImap } = await import('../mail/imap-source.ts');
    const open = openImap({ host, port, tls, insecure: flags.insecure === true, user, password, only, mailbox });
    return importFrom(context, ['imap', host, String(port), user, only ?? '', mailbox ?? ''], open);
  },
};

export const command: Command = {
  name: 'import',
  summary: 'Brings mail in from files and from other servers. Resumable; nothing is imported twice.',
  verbs: [mbox, maildir, eml, imap, importInstallation],
};
