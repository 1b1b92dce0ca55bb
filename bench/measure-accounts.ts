/**
 * That cost does not grow with what is not touched: the delivery rate to one account beside 10,000 others, and beside a
 * big mailbox of its own, each as a part of the rate without them.
 */

import { sendFor, Watch } from './deliver-load.ts';
import { fillByAppend, fillByCopy } from './fill.ts';
import { startMailmesh } from './mailmesh.ts';
import { type Measurement, perSecond, type Setting } from './measure.ts';
import { DOMAIN, type Login, PASSWORD, type System, userOf } from './system.ts';

const CONNECTIONS = 8;
const SEED_MESSAGES = 1000;

async function rateTo(system: System, user: Login, { scale, sources }: Setting): Promise<number> {
  const watch = await Watch.on(system, [user]);
  const begun = performance.now();
  const options = { ms: scale.loadMs / 2, connections: CONNECTIONS, users: [user], source: sources.small };
  const seen = await watch.until(await sendFor(system, 'lmtp', options));
  watch.close();
  return perSecond(seen, performance.now() - begun);
}

async function amongAccounts(setting: Setting, accounts: number): Promise<number> {
  const server = await startMailmesh({ ...setting.server, accounts });
  try {
    const user = { address: `many0@${DOMAIN}`, password: PASSWORD };
    // The first run is for the code to be compiled and the caches to be there.
    await rateTo(server, user, setting);
    return await rateTo(server, user, setting);
  } finally {
    await server.stop();
  }
}

const share = (after: number, before: number) => ({
  value: after / before,
  note: `${after.toFixed(0)}/s against ${before.toFixed(0)}/s`,
});

export const independence: Measurement = {
  name: 'accounts',
  rows: [
    {
      name: 'accounts',
      work: 'delivery with 10,000 accounts, 1 active, against 2',
      unit: '×',
      target: { atLeast: 0.9 },
    },
    {
      name: 'other-mailbox',
      work: 'delivery beside 100,000 messages in another mailbox',
      unit: '×',
      target: { atLeast: 0.9 },
    },
  ],
  peers: [],
  async run(system, setting) {
    const { scale, sources } = setting;
    const few = await amongAccounts(setting, 2);
    const many = await amongAccounts(setting, scale.accounts);
    const user = userOf(system, 'importer');
    const before = await rateTo(system, user, setting);
    await fillByAppend(system, user, { mailbox: 'Few', count: SEED_MESSAGES, source: sources.small });
    await fillByCopy(system, user, { from: 'Few', mailbox: 'Many', count: scale.bigMailbox });
    return { accounts: share(many, few), 'other-mailbox': share(await rateTo(system, user, setting), before) };
  },
};
