/** Import and export: every form there and back, nothing twice, going on after an interruption, failures told. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { mailboxToMaildir, mailboxToPath, maildirToMailbox, pathToMailbox } from '../../bin/mail/folder-name.ts';
import { maildirInfo, parseMaildirName } from '../../bin/mail/maildir.ts';
import { ClientError } from '../../core/mail/errors.ts';
import { FakeNode, type Ran, run } from './cli-fake.ts';

const ALICE = 'alice@mail.localhost';
const FROM = 'From a@b Tue Jan  2 03:04:05 2029\n';

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-cli-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const importing = (node: FakeNode, folder: string, ...argv: string[]): Promise<Ran> =>
  run(node, ['import', ...argv], { env: { MAILMESH_DATA_DIR: join(folder, 'data') } });

test('an mbox is imported in order with dates, flags and CRLF, and the second time nothing is added', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    const text = `${FROM}Status: RO\nSubject: 1\n\n>From me\n\n${FROM}Subject: 2\r\n\r\nx\r\n\n`;
    await writeFile(join(folder, 'old.mbox'), text);
    const first = await importing(node, folder, 'mbox', ALICE, join(folder, 'old.mbox'), '--mailbox', 'Archive/Old');
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /^Imported 2 messages in .*; 0 were there already, 0 failed/);
    assert.deepEqual(node.texts('Archive/Old'), [
      'Status: RO\r\nSubject: 1\r\n\r\nFrom me\r\n',
      'Subject: 2\r\n\r\nx\r\n',
    ]);
    const stored = node.mailboxes.get('Archive/Old')!;
    assert.deepEqual(stored[0]!.flags, ['\\Seen']);
    assert.equal(stored[0]!.internalDate, Date.UTC(2029, 0, 2, 3, 4, 5) / 1000);
    const again = await importing(node, folder, 'mbox', ALICE, join(folder, 'old.mbox'), '--mailbox', 'Archive/Old');
    assert.match(again.out, /^Imported 0 messages in .*; 2 were there already/);
    assert.equal(node.mailboxes.get('Archive/Old')!.length, 2);
  });
});

test('equal messages at different places of a source are all kept', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    await writeFile(join(folder, 'x.mbox'), `${FROM}A: 1\n\nx\n\n`.repeat(3));
    await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'));
    assert.equal(node.texts('INBOX').length, 3);
  });
});

test('large messages are passed on as they are read, in order with small ones', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    const bodies = ['a', 'b'.repeat(2_000_000), 'c', 'd'.repeat(600_000), 'e'];
    await writeFile(join(folder, 'x.mbox'), bodies.map((body) => `${FROM}A: 1\n\n${body}\n\n`).join(''));
    const { code, err } = await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'));
    assert.equal(code, 0, err);
    assert.deepEqual(
      node.texts('INBOX').map((text) => text.length),
      bodies.map((body) => `A: 1\r\n\r\n${body}\r\n`.length),
    );
  });
});

test('a server lost half way ends the import with what to do, and the next run goes on', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    const count = 40;
    const text = Array.from({ length: count }, (_, i) => `${FROM}A: ${i}\n\nx\n\n`).join('');
    await writeFile(join(folder, 'x.mbox'), text);
    const put = node.putBlob.bind(node);
    let puts = 0;
    node.putBlob = async (stream) => {
      puts += 1;
      if (puts === 25) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      return put(stream);
    };
    const lost = await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'));
    assert.equal(lost.code, 1);
    assert.match(lost.err, /ECONNREFUSED: run the same command again to go on\n$/);
    assert(node.texts('INBOX').length < count);
    assert.equal((await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'))).code, 0);
    assert.deepEqual(
      node.texts('INBOX'),
      Array.from({ length: count }, (_, i) => `A: ${i}\r\n\r\nx\r\n`),
    );
  });
});

test('a message that is refused is told, the others go in, and the exit code is 1', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    await writeFile(join(folder, 'x.mbox'), ['1', '2', '3'].map((n) => `${FROM}A: ${n}\n\nx\n\n`).join(''));
    const put = node.putBlob.bind(node);
    let puts = 0;
    node.putBlob = (stream) => {
      puts += 1;
      return puts === 2 ? Promise.reject(new ClientError('messageTooBig')) : put(stream);
    };
    const { code, out } = await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'));
    assert.equal(code, 1);
    assert.match(out, /failed: INBOX #1: Message exceeds the size limit\nImported 2 messages .* 1 failed/);
  });
});

test('20 failures in a row end the import', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    node.putBlob = () => Promise.reject(new ClientError('overQuota'));
    await writeFile(join(folder, 'x.mbox'), `${FROM}A: 1\n\nx\n\n`.repeat(100));
    const { code, err } = await importing(node, folder, 'mbox', ALICE, join(folder, 'x.mbox'));
    assert.equal(code, 1);
    assert.match(err, /20 failures in a row, the last: Mailbox full/);
  });
});

test('what is no mbox, no Maildir, empty or not there is one line', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    await writeFile(join(folder, 'text'), 'Hello\n');
    await mkdir(join(folder, 'empty'));
    for (const [argv, wanted] of [
      [['mbox', ALICE, join(folder, 'text')], /no mbox file/],
      [['mbox', ALICE, join(folder, 'empty')], /holds no \.mbox files/],
      [['mbox', ALICE, join(folder, 'none')], /ENOENT/],
      [['maildir', ALICE, join(folder, 'empty')], /no folder cur/],
      [['eml', ALICE, join(folder, 'empty')], /holds no \.eml files/],
      [['mbox', 'nobody@x', join(folder, 'text')], /Not found/],
    ] as const) {
      const { code, err } = await importing(node, folder, ...argv);
      assert.equal(code, 1);
      assert.match(err, wanted);
      assert.match(err, /^mailmesh: [^\n]*\n$/);
    }
  });
});

test('a Maildir++ with subfolders, flags, keywords and dates is imported', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    const root = join(folder, 'Maildir');
    for (const name of ['', '.Archive.2026', '.&AMk-t&AOk-'])
      for (const part of ['cur', 'new', 'tmp']) await mkdir(join(root, name, part), { recursive: true });
    await writeFile(join(root, 'dovecot-keywords'), '0 $Junk\n1 work\n');
    await writeFile(join(root, 'cur', '100.a.host:2,FSa'), 'A: 1\n\nx\n');
    await writeFile(join(root, 'new', '200.b.host'), 'A: 2\n\nx\n');
    await writeFile(join(root, 'tmp', '300.c.host'), 'half');
    await writeFile(join(root, '.Archive.2026', 'cur', '1.x:2,RT'), 'A: 3\n\nx\n');
    await writeFile(join(root, '.&AMk-t&AOk-', 'cur', '1.x:2,'), 'A: 4\n\nx\n');
    await utimes(join(root, 'cur', '100.a.host:2,FSa'), 1_700_000_000, 1_700_000_000);
    const { code, err } = await importing(node, folder, 'maildir', ALICE, root);
    assert.equal(code, 0, err);
    assert.deepEqual(node.texts('INBOX'), ['A: 1\r\n\r\nx\r\n', 'A: 2\r\n\r\nx\r\n']);
    const [first, second] = node.mailboxes.get('INBOX')!;
    assert.deepEqual([first!.flags, first!.internalDate], [['\\Flagged', '\\Seen', '$Junk'], 1_700_000_000]);
    assert.deepEqual(second!.flags, []);
    assert.deepEqual(node.mailboxes.get('Archive/2026')![0]!.flags, ['\\Answered', '\\Deleted']);
    assert.deepEqual(node.texts('Été'), ['A: 4\r\n\r\nx\r\n']);
    // Flags that changed since make no other message of it.
    await rm(join(root, 'new', '200.b.host'));
    await writeFile(join(root, 'cur', '200.b.host:2,S'), 'A: 2\n\nx\n');
    assert.match((await importing(node, folder, 'maildir', ALICE, root)).out, /^Imported 0 .*; 4 were there already/);
  });
});

const MESSAGES = [
  'A: 1\r\n\r\nFrom here\r\n>From there\r\n',
  'A: 2\r\n\r\nbare \n and \r and \0 and \xff\r\n\r\n\r\n',
  'A: 3\r\n\r\n',
];

async function filled(mailbox: string): Promise<FakeNode> {
  const node = new FakeNode();
  if (!node.mailboxes.has(mailbox)) node.mailboxes.set(mailbox, []);
  for (const [i, text] of MESSAGES.entries()) {
    const { blob } = await node.putBlob([Buffer.from(text, 'latin1')] as unknown as AsyncIterable<Uint8Array>);
    node.mailboxes
      .get(mailbox)!
      .push({ uid: 10 + i, blob, flags: i === 0 ? ['\\Seen', '$Forwarded'] : [], internalDate: 1_000_000 + i });
  }
  return node;
}

for (const format of ['mbox', 'maildir', 'eml'] as const) {
  test(`${format}: what is exported comes back byte for byte into mailboxes of the same names`, async () => {
    await withFolder(async (folder) => {
      for (const mailbox of ['INBOX', 'Archive/2026', 'a.b/%: ü/..']) {
        const node = await filled(mailbox);
        const target = join(folder, Buffer.from(mailbox).toString('hex'));
        const exported = await run(node, ['export', format, ALICE, target]);
        assert.equal(exported.code, 0, exported.err);
        const other = new FakeNode();
        const imported = await importing(other, folder, format, ALICE, target);
        assert.equal(imported.code, 0, imported.err);
        assert.deepEqual(other.texts(mailbox), MESSAGES, mailbox);
        if (format === 'maildir') assert.deepEqual(other.mailboxes.get(mailbox)![0]!.flags, ['$Forwarded', '\\Seen']);
      }
    });
  });

  test(`${format}: the second export writes only what is new, and one cut off is made whole`, async () => {
    await withFolder(async (folder) => {
      const node = await filled('INBOX');
      const broken = node.readMessage.bind(node);
      let reads = 0;
      node.readMessage = async function* (account, mailbox, uid) {
        reads += 1;
        yield* reads === 2 ? failing(broken(account, mailbox, uid)) : broken(account, mailbox, uid);
      };
      const cut = await run(node, ['export', format, ALICE, folder]);
      assert.equal(cut.code, 1);
      const whole = await run(node, ['export', format, ALICE, folder]);
      assert.match(whole.out, /^Exported 2 messages .*; 1 were there already, 0 failed/);
      const { blob } = await node.putBlob([Buffer.from('A: new\r\n\r\n')] as unknown as AsyncIterable<Uint8Array>);
      node.mailboxes.get('INBOX')!.push({ uid: 20, blob, flags: [], internalDate: 2_000_000 });
      assert.match(
        (await run(node, ['export', format, ALICE, folder])).out,
        /^Exported 1 messages .*; 3 were there already/,
      );
      const other = new FakeNode();
      await withFolder((data) => importing(other, data, format, ALICE, folder).then(() => {}));
      assert.deepEqual(other.texts('INBOX'), [...MESSAGES, 'A: new\r\n\r\n']);
    });
  });
}

async function* failing(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    yield piece.subarray(0, 5);
    throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  }
}

test('an export goes on only into its own folder and the same mailbox', async () => {
  await withFolder(async (folder) => {
    const node = await filled('INBOX');
    assert.equal((await run(node, ['export', 'mbox', ALICE, folder, '--mailbox', 'INBOX'])).code, 0);
    assert.match((await run(node, ['export', 'eml', ALICE, folder])).err, /take another folder/);
    assert.match((await run(node, ['export', 'mbox', ALICE, folder, '--mailbox', 'None'])).err, /no mailbox "None"/);
    node.answers = {
      'folder.list': () => ({ items: [{ name: 'INBOX', uidValidity: 8, total: 3 }], cursor: null }) as never,
    };
    assert.match((await run(node, ['export', 'mbox', ALICE, folder])).err, /made anew/);
  });
});

test('an eml export is one file a message; a single eml file can be imported', async () => {
  await withFolder(async (folder) => {
    const node = await filled('Archive/2026');
    await run(node, ['export', 'eml', ALICE, folder]);
    assert.deepEqual((await readdir(join(folder, 'Archive', '2026'))).sort(), [
      '0000000010.eml',
      '0000000011.eml',
      '0000000012.eml',
    ]);
    const file = join(folder, 'Archive', '2026', '0000000011.eml');
    assert.equal(await readFile(file, 'latin1'), MESSAGES[1]);
    const other = new FakeNode();
    await importing(other, folder, 'eml', ALICE, file, '--mailbox', 'Other');
    assert.deepEqual(other.texts('Other'), [MESSAGES[1]]);
  });
});

test('mailbox names survive every form of file name, and none leads out of its folder', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed());
  fc.assert(
    fc.property(name, (mailbox) => {
      const path = mailboxToPath(mailbox);
      assert.equal(pathToMailbox(path), mailbox);
      for (const level of path.split('/'))
        assert(level !== '' && level !== '.' && level !== '..' && !/[\\\0:]/.test(level));
      if (mailbox !== 'INBOX') assert.equal(maildirToMailbox(mailboxToMaildir(mailbox)), mailbox);
      assert(!mailboxToMaildir(mailbox).includes('\0'));
    }),
  );
  for (const mailbox of ['..', '../..', '.', '.hidden', 'a/../b', '/a', 'a//b', 'C:\\x', '%41', 'INBOX'])
    assert.equal(pathToMailbox(mailboxToPath(mailbox)), mailbox);
});

test('Maildir names and flags', () => {
  assert.equal(maildirInfo(['\\Seen', '\\flagged', '$Junk', '\\Answered']), ':2,FRS');
  assert.deepEqual(parseMaildirName('1.a:2,FS'), { unique: '1.a', letters: 'FS' });
  assert.deepEqual(parseMaildirName('1.a;2,'), { unique: '1.a', letters: '' });
  assert.deepEqual(parseMaildirName('1.a'), { unique: '1.a', letters: '' });
});
