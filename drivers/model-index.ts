/**
 * The list of models, which one is active and how that came about, as one value: each transition gives the next value, so
 * a driver only has to replace the old one by it in one step. At most one model is active in any of them.
 */

import { ClientError } from '../core/mail/errors.ts';
import type { ModelId } from '../core/mail/ids.ts';
import type { ModelEvent, ModelInfo, ModelState } from '../core/ports/model-store.ts';

export interface ModelIndex {
  readonly format: 1;
  /** Version of the next model: never used again, whatever was pruned. */
  readonly next: number;
  readonly active: ModelId | null;
  readonly models: readonly ModelInfo[];
  /** Oldest first. */
  readonly events: readonly ModelEvent[];
}

/** Older events are dropped. */
const EVENTS_MAX = 2000;

export const NO_MODELS: ModelIndex = { format: 1, next: 1, active: null, models: [], events: [] };

export const findModel = (index: ModelIndex, id: ModelId | null): ModelInfo | undefined =>
  index.models.find((model) => model.id === id);

/** @throws ClientError where there is no such model */
export function requireModel(index: ModelIndex, id: ModelId): ModelInfo {
  const model = findModel(index, id);
  if (model === undefined) throw new ClientError('notFound', { model: id });
  return model;
}

export const newestFirst = (models: readonly ModelInfo[]): readonly ModelInfo[] =>
  [...models].sort((a, b) => b.version - a.version);

export const lastEvents = (events: readonly ModelEvent[], limit: number): readonly ModelEvent[] =>
  events.slice(-Math.max(1, limit)).reverse();

/** With a candidate more, which is the last of its models. */
export function withModel(
  index: ModelIndex,
  id: ModelId,
  sizeBytes: number,
  info: Pick<ModelInfo, 'parent' | 'schema' | 'trainedTo' | 'createdAt' | 'metrics'>,
): ModelIndex {
  const { parent, schema, trainedTo, createdAt, metrics } = info;
  const model: ModelInfo = {
    ...{ id, version: index.next, state: 'candidate', parent, schema, trainedTo, createdAt, sizeBytes, metrics },
    reason: 'made',
  };
  const event = eventOf(model, null, 'trainer', 'made', createdAt, 'candidate');
  return withEvents({ ...index, next: model.version + 1, models: [...index.models, model] }, [event]);
}

/** The same index where the model is the active one already. */
export function withActive(index: ModelIndex, id: ModelId, who: string, why: string, at: number): ModelIndex {
  const model = requireModel(index, id);
  if (index.active === id) return index;
  const events = [eventOf(model, model.state, who, why, at, 'active')];
  const models = index.models.map((one): ModelInfo => {
    if (one.id === id) return { ...one, state: 'active', reason: why };
    if (one.id !== index.active) return one;
    const reason = `replaced by version ${model.version}`;
    events.unshift(eventOf(one, 'active', who, reason, at, 'retired'));
    return { ...one, state: 'retired', reason };
  });
  return withEvents({ ...index, active: id, models }, events);
}

/** The same index where the model is rejected already. @throws ClientError where it is no candidate */
export function withRejected(index: ModelIndex, id: ModelId, who: string, why: string, at: number): ModelIndex {
  const model = requireModel(index, id);
  if (model.state === 'rejected') return index;
  if (model.state !== 'candidate') throw new ClientError('conflict', { model: id, state: model.state });
  const models = index.models.map(
    (one): ModelInfo => (one.id === id ? { ...one, state: 'rejected', reason: why } : one),
  );
  return withEvents({ ...index, models }, [eventOf(model, model.state, who, why, at, 'rejected')]);
}

/** Without all but the active model, its parent and the newest `keep`; the same index where that is all. */
export function withoutOld(index: ModelIndex, keep: number): ModelIndex {
  const kept = new Set<ModelId | null>(
    newestFirst(index.models)
      .slice(0, Math.max(0, keep))
      .map((model) => model.id),
  );
  kept.add(index.active);
  kept.add(findModel(index, index.active)?.parent ?? null);
  const models = index.models.filter((model) => kept.has(model.id));
  return models.length === index.models.length ? index : { ...index, models };
}

const withEvents = (index: ModelIndex, events: readonly ModelEvent[]): ModelIndex => ({
  ...index,
  events: [...index.events, ...events].slice(-EVENTS_MAX),
});

const eventOf = (
  model: ModelInfo,
  from: ModelState | null,
  who: string,
  why: string,
  at: number,
  to: ModelState,
): ModelEvent => ({ at, model: model.id, version: model.version, from, to, who, why });
