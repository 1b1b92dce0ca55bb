/**
 * The process that test/crash/mail-store.test.ts kills: eight writers deliver, flag and move messages without end and
 * print one line for each commit that was acknowledged, after it was.
 */

import { writeSync } from 'node:fs';
import { accountId } from '../../core/mail/ids.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { append, contentInput, INBOX, JUNK, uids } from '../contract/mail-store-fixtures.ts';

const [folder = '', account = '', round = ''] = process.argv.slice(2);
const store = new EmbeddedMailStore({ folder, now: Date.now });
await store.open();
const id = accountId(account);
const lease = await store.lease(id, 'writer', 60_000);
if (lease === undefined) throw new Error('the lease is held by another');

const acknowledged = (...words: (string | number)[]): void => void writeSync(1, `${words.join(' ')}\n`);

async function write(writer: number): Promise<void> {
  for (let number = 0; ; number++) {
    const key = `${round}.${writer}.${number}`;
    const deliver = append({ dedupe: key, content: contentInput({ messageId: `<${key}>` }) });
    const delivered = await store.commit(id, lease!.epoch, [deliver]);
    const result = delivered.results[0]!;
    if (!result.ok || result.t !== 'append') throw new Error(`not delivered: ${JSON.stringify(result)}`);
    acknowledged('delivered', key, result.uid, result.content);
    if (number % 3 === 1) {
      await store.commit(id, lease!.epoch, [
        { t: 'store', mailbox: INBOX, uids: uids(result.uid), mode: 'add', flags: ['\\Flagged'] },
      ]);
      acknowledged('flagged', key);
    }
    if (number % 3 === 2) {
      await store.commit(id, lease!.epoch, [{ t: 'move', from: INBOX, uids: uids(result.uid), to: JUNK }]);
      acknowledged('moved', key);
    }
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
