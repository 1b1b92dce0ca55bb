/**
 * Copies what the learning loop knows: labels at their places in the log with the features they speak of, the newest mail
 * without labels, and the models. Samples that were named after a content are named after what that has become, so a user
 * who changes their mind over there speaks of the same sample.
 */

import { Fault } from '../core/mail/errors.ts';
import type { AccountId, ContentId } from '../core/mail/ids.ts';
import type { OutboxEntry } from '../core/ports/mail-store.ts';
import type { ModelInfo, ModelStore } from '../core/ports/model-store.ts';
import type { SampleStore, StoredLabel } from '../core/ports/sample-store.ts';
import type { LabelIntent } from '../core/spam/feedback.ts';
import { copyLabels } from '../drivers/cluster/sample-copy.ts';

const PAGE = 1_000;
/** As many as training looks at, and some. */
const UNLABELLED = 1_000;

/** Events over there have places of their own: one from here must not be taken for one of theirs. */
const eventKey = (key: string): string => `~${key}`;

/** Names of samples that are made of a content: only these change. */
export class SampleNames {
  readonly #labelled = new Set<string>();
  readonly #become = new Map<string, string>();

  /** Reads which ones the log speaks of, so that no others need be remembered. */
  async read(samples: SampleStore): Promise<void> {
    for (let after = 0; ; ) {
      const page = await samples.labels({ after, limit: PAGE });
      for (const { sample } of page) if (sample.includes('/')) this.#labelled.add(sample);
      if (page.length < PAGE) return;
      after = page.at(-1)!.seq;
    }
  }

  renamed(account: AccountId, from: ContentId, to: ContentId): void {
    const name = `${account}/${from}`;
    if (this.#labelled.has(name)) this.#become.set(name, `${account}/${to}`);
  }

  of(sample: string): string {
    return this.#become.get(sample) ?? sample;
  }
}

/** The number of labels. */
export async function copySamples(from: SampleStore, to: SampleStore, names: SampleNames): Promise<number> {
  let copied = 0;
  const before = new Map<string, string>();
  const rename = (label: StoredLabel): StoredLabel => {
    const sample = names.of(label.sample);
    before.set(sample, label.sample);
    return { ...label, sample, key: eventKey(label.key) };
  };
  const renamed = {
    stats: () => from.stats(),
    labels: async (options: Parameters<SampleStore['labels']>[0]) => (await from.labels(options)).map(rename),
  };
  await copyLabels(renamed, to, async (labels) => {
    await Promise.all(
      [...new Set(labels.map((label) => label.sample))].map(async (sample) => {
        const features = await from.features(before.get(sample)!);
        if (features !== undefined) await to.remember({ ...features, key: sample });
      }),
    );
    copied += labels.length;
    before.clear();
  });
  const recent = await from.unlabelled(UNLABELLED);
  await Promise.all(recent.map((features) => to.remember(features)));
  return copied;
}

/** A label on its way into the log, as the other store would have it. */
export function intentOver(
  { key, payload }: OutboxEntry,
  contents: ReadonlyMap<ContentId, ContentId>,
): { readonly key: string; readonly payload: LabelIntent } | undefined {
  const intent = payload as LabelIntent;
  const content = contents.get(intent.content);
  if (content === undefined) return undefined;
  return { key: eventKey(key), payload: { ...intent, content, key: eventKey(intent.key) } };
}

/**
 * Oldest first, so that versions keep their order. The active one becomes active over there, unless a model that was
 * trained there is. The number of new ones.
 */
export async function copyModels(from: ModelStore, to: ModelStore, now: number): Promise<number> {
  const models = [...(await from.list())].sort((a, b) => a.version - b.version);
  const there = new Map((await to.list()).map((info) => [info.id, info]));
  const copied: ModelInfo[] = [];
  for (const model of models) {
    const artefact = there.has(model.id) ? undefined : await loadOrNone(from, model.id);
    if (artefact === undefined) continue;
    const { parent, schema, trainedTo, createdAt, metrics } = model;
    await to.put(artefact, { parent, schema, trainedTo, createdAt, metrics });
    copied.push(model);
  }
  for (const { id, state, reason } of copied) if (state === 'rejected') await to.reject(id, 'import', reason, now);
  const active = await to.active();
  if (active !== undefined && active.trainedTo > 0) return copied.length;
  // Those that were active before are retired by those that follow.
  for (const { id, state, reason } of copied) if (state === 'retired') await to.activate(id, 'import', reason, now);
  const last = models.find(({ state }) => state === 'active');
  if (last !== undefined && (await to.active())?.id !== last.id) await to.activate(last.id, 'import', last.reason, now);
  return copied.length;
}

/** Old artefacts are pruned; their entries stay. */
async function loadOrNone(models: ModelStore, id: Parameters<ModelStore['load']>[0]) {
  try {
    return await models.load(id);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}
