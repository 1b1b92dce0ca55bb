/**
 * The process that test/cluster/mail-store-crash.test.ts kills and stops. Writers deliver, flag, move and expunge
 * messages without end and print one line for each commit that was acknowledged, after it was. `at` names a call to the
 * database, `deed` what happens to the process there. When it is fenced it says so and ends.
 */

import { writeSync } from 'node:fs';
import { Fenced } from '../../core/mail/errors.ts';
import { accountId } from '../../core/mail/ids.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { append, contentInput, INBOX, JUNK, uids } from '../contract/mail-store-fixtures.ts';
import { type Call, watchedMongo } from './watched-mongo.ts';

interface Orders {
  readonly url: string;
  readonly account: string;
  readonly owner: string;
  /** Begins the names of the deliveries. */
  readonly round: string;
  readonly writers: number;
  /** Where: the n-th call of the process, or of one method of one collection. */
  readonly at?: { readonly number: number; readonly of?: string };
  readonly when?: 'before' | 'after';
  readonly deed?: 'SIGKILL' | 'SIGSTOP';
}

const orders = JSON.parse(process.argv[2] ?? '{}') as Orders;
const say = (...words: (string | number)[]): void => void writeSync(1, `${words.join(' ')}\n`);

let matching = 0;
function watch(when: 'before' | 'after', call: Call): void {
  const { at, deed } = orders;
  if (at === undefined || deed === undefined || when !== orders.when) return;
  if (at.of !== undefined && at.of !== `${call.collection}.${call.method}`) return;
  if (++matching !== at.number) return;
  say('at', `${call.collection}.${call.method}`);
  process.kill(process.pid, deed);
}

const mongo = new Mongo({ url: orders.url });
await mongo.open();
const store = new ClusterMailStore({ mongo: watchedMongo(mongo, watch) });
await store.open();
const id = accountId(orders.account);
// It runs out at once, so that the next process need not wait for it.
const lease = await store.lease(id, orders.owner, 1);
if (lease === undefined) throw new Error('the lease is held by another');
const { epoch } = lease;
matching = 0;
say('begun', epoch);

async function write(writer: number): Promise<void> {
  for (let number = 0; ; number++) {
    const key = `${orders.round}.${writer}.${number}`;
    const deliver = append({ dedupe: key, content: contentInput({ messageId: `<${key}>` }) });
    const result = (await store.commit(id, epoch, [deliver])).results[0]!;
    if (!result.ok || result.t !== 'append') throw new Error(`not delivered: ${JSON.stringify(result)}`);
    say('delivered', key, result.uid, result.content);
    if (number % 4 === 1) {
      await store.commit(id, epoch, [
        { t: 'store', mailbox: INBOX, uids: uids(result.uid), mode: 'add', flags: ['\\Flagged'] },
      ]);
      say('flagged', key);
    }
    if (number % 4 === 2) {
      await store.commit(id, epoch, [{ t: 'move', from: INBOX, uids: uids(result.uid), to: JUNK }]);
      say('moved', key);
    }
    if (number % 4 === 3) {
      await store.commit(id, epoch, [{ t: 'expunge', mailbox: INBOX, uids: uids(result.uid), onlyDeleted: false }]);
      say('expunged', key);
    }
  }
}

try {
  await Promise.all(Array.from({ length: orders.writers }, (_, writer) => write(writer)));
} catch (error) {
  if (!(error instanceof Fenced)) throw error;
  say('fenced');
  await store.close();
  await mongo.close();
}
