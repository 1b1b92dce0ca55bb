/**
 * That cost does not grow with what is not touched: the delivery rate to one account beside 10,000 others, and beside a
 * big mailbox of its own, each as a part of the rate without them.
 */

import { sendFor, Watch } from './deliver-load.ts';
import { fillByAppend, fillByCopy } from './fill.ts';
import { startMailmesh } from './mailmesh.ts';
import { type Figure, type Measurement, perSecond, type Setting } from './measure.ts';
import { DOMAIN, type Login, PASSWORD, type System, userOf } from './system.ts';

const CONNECTIONS = 8;
const SEED_MESSAGES = 1000;
const TURNS = 2;

async function rateTo(system: System, user: Login, { scale, sources }: Setting): Promise<number> {
  const watch = await Watch.on(system, [user]);
  const begun = performance.now();
  const options = { ms: scale.loadMs / 3, connections: CONNECTIONS, users: [user], source: sources.small };
  const seen = await watch.until(await sendFor(system, 'lmtp', options));
  watch.close();
  return perSecond(seen, performance.now() - begun);
}

/** The better of two turns each, taken by turns, so that what else goes on on the machine meets both. */
async function compare(
  one: () => Promise<number>,
  other: () => Promise<number>,
): Promise<{ readonly one: number; readonly other: number }> {
  const best = { one: 0, other: 0 };
  // The first turn is for the code to be compiled and the caches to be there.
  for (let turn = 0; turn <= TURNS; turn++) {
    const rates = { one: await one(), other: await other() };
    if (turn === 0) continue;
    best.one = Math.max(best.one, rates.one);
    best.other = Math.max(best.other, rates.other);
  }
  return best;
}

const share = ({ one, other }: { readonly one: number; readonly other: number }): Figure => ({
  value: other / one,
  note: `${other.toFixed(0)}/s against ${one.toFixed(0)}/s`,
});

async function amongAccounts(setting: Setting): Promise<Figure> {
  const user = { address: `many0@${DOMAIN}`, password: PASSWORD };
  const few = await startMailmesh({ ...setting.server, accounts: 2 });
  try {
    const many = await startMailmesh({ ...setting.server, accounts: setting.scale.accounts });
    try {
      return share(
        await compare(
          () => rateTo(few, user, setting),
          () => rateTo(many, user, setting),
        ),
      );
    } finally {
      await many.stop();
    }
  } finally {
    await few.stop();
  }
}

async function besideMailbox(system: System, setting: Setting): Promise<Figure> {
  const { scale, sources } = setting;
  const full = userOf(system, 'importer');
  const empty = userOf(system, 'watcher');
  await fillByAppend(system, full, { mailbox: 'Few', count: SEED_MESSAGES, source: sources.small });
  await fillByCopy(system, full, { from: 'Few', mailbox: 'Many', count: scale.bigMailbox });
  return share(
    await compare(
      () => rateTo(system, empty, setting),
      () => rateTo(system, full, setting),
    ),
  );
}

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
  run: async (system, setting) => ({
    accounts: await amongAccounts(setting),
    'other-mailbox': await besideMailbox(system, setting),
  }),
};
