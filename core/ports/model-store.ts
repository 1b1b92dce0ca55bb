/**
 * The model store: immutable, content-addressed models and the one pointer that says which is active. Every transition
 * is an event with who, when and why.
 */

import type { ModelId } from '../mail/ids.ts';
import type { Damage } from './blob-store.ts';

export type ModelState = 'candidate' | 'active' | 'retired' | 'rejected';

export interface ModelInfo {
  readonly id: ModelId;
  /** 1, 2, 3 … in order of making, for people. */
  readonly version: number;
  readonly state: ModelState;
  readonly parent: ModelId | null;
  readonly schema: number;
  /** Place in the label log up to which it was trained. */
  readonly trainedTo: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  /** Numbers of the offline gate and training, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Why it has its state. */
  readonly reason: string;
}

export interface ModelEvent {
  readonly at: number;
  readonly model: ModelId;
  readonly version: number;
  readonly from: ModelState | null;
  readonly to: ModelState;
  readonly who: string;
  readonly why: string;
}

export interface ModelStore {
  open(): Promise<void>;
  close(): Promise<void>;
  /** Keeps an artefact as a candidate; the same bytes again return the first entry. Survives power loss. */
  put(
    artefact: Uint8Array,
    info: Pick<ModelInfo, 'parent' | 'schema' | 'trainedTo' | 'createdAt' | 'metrics'>,
  ): Promise<ModelInfo>;
  /** The artefact. Rejects with a Fault when it is missing or its hash differs. */
  load(id: ModelId): Promise<Uint8Array>;
  active(): Promise<ModelInfo | undefined>;
  /** Makes a model the active one and retires the one before, in one step. Survives power loss. */
  activate(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo>;
  /** Marks a candidate as rejected. */
  reject(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo>;
  /** Newest version first. */
  list(): Promise<readonly ModelInfo[]>;
  /** Newest first. */
  events(limit: number): Promise<readonly ModelEvent[]>;
  /** Deletes artefacts but for the active one, its parent and the newest `keep`. */
  prune(keep: number): Promise<number>;
  /** What is broken; nothing is repaired. */
  verify(): Promise<readonly Damage[]>;
  backup(destination: string): Promise<void>;
}
