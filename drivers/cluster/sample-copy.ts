/**
 * Copying the log of labels through its port into a store of any kind. Models remember places in the log, so each label
 * keeps its place: places that are empty here are filled there for the moment by labels of nobody.
 */

import { accountId } from '../../core/mail/ids.ts';
import type { Label, SampleStore, StoredLabel } from '../../core/ports/sample-store.ts';

const PAGE = 500;
/** No account: ids are random. */
const NOBODY = accountId('0'.repeat(16));

const filler = (seq: number): Label => ({
  ...{ key: `filler:${seq}`, account: NOBODY, sample: `filler:${seq}`, label: 'withdrawn', source: 'audit' },
  ...{ sender: '', previous: 'none', score: null, model: '', schema: 0, weight: 0, at: 0 },
});

/** What is read of the source. */
type Log = Pick<SampleStore, 'labels' | 'stats'>;

const bare = ({ seq: _seq, ...label }: StoredLabel): Label => label;

/**
 * A log that has labels of its own gets those that it lacks behind them, else every label its place. Made again, it goes
 * on where it ended.
 * @param each called with every page before its labels are appended
 */
export async function copyLabels(
  from: Log,
  to: SampleStore,
  each: (labels: readonly StoredLabel[]) => Promise<void>,
): Promise<void> {
  let end = (await to.stats()).lastSeq;
  const keepsPlaces = await isPrefix(from, to);
  for (let after = keepsPlaces ? end : 0; ; ) {
    const page = await from.labels({ after, limit: PAGE });
    await each(page);
    const batch: Label[] = [];
    for (const label of page) {
      while (keepsPlaces && end + 1 < label.seq) batch.push(filler(++end));
      batch.push(bare(label));
      end++;
    }
    await to.append(batch);
    if (page.length < PAGE) break;
    after = page.at(-1)!.seq;
  }
  if (!keepsPlaces) return;
  const { lastSeq } = await from.stats();
  while (end < lastSeq) {
    const batch: Label[] = [];
    while (end < lastSeq && batch.length < PAGE) batch.push(filler(++end));
    await to.append(batch);
  }
  await to.forgetUser(NOBODY);
}

/** Whether the first label there is the one of the same place here; an earlier copy that was cut off may have fillers. */
async function isPrefix(from: Log, to: SampleStore): Promise<boolean> {
  const first = await to.labels({ after: 0, limit: PAGE });
  if (first.length === 0) return (await to.stats()).lastSeq === 0;
  const theirs = first.find((label) => label.account !== NOBODY);
  if (theirs === undefined) return true;
  const [ours] = await from.labels({ after: theirs.seq - 1, limit: 1 });
  return ours?.seq === theirs.seq && ours.key === theirs.key;
}
