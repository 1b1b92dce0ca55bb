/** How big the simulated mesh is, and what the product's options and measured figures say of it. */

import { loadConfig } from '../../core/config/load.ts';
import { brokerOptions } from '../../moleculer.config.ts';
import type { StoreSettings } from './lease-store.ts';

export interface SimSettings {
  readonly seed: number;
  readonly nodes: number;
  readonly accounts: number;
  /** Nodes that are lost together. */
  readonly rack: number;
  readonly writesPerSecond: number;
  /** Zipf's exponent of how often accounts are written. */
  readonly skew: number;
  readonly store: StoreSettings;
  /** How soon nodes notice that another fell silent. */
  readonly beatMs: number;
  readonly silenceMs: number;
  readonly checkMs: number;
}

/** Deliveries to an account in a day, and as many changes of flags, moves and appends again. */
const WRITES_PER_ACCOUNT = 2 * 100;
const DAY_SECONDS = 86_400;
/** One shard for so many accounts, as docs/scale.md has it. */
const ACCOUNTS_PER_SHARD = 100_000;
/** A shard's server; the stand-in for MongoDB answered 1,000 to 1,300 journaled single writes a second on one core. */
const SHARD_CORES = 4;
const CORE_OPS_PER_SECOND = 1_000;
/** As in mixins/mesh.ts. */
const CHECK_MS = 1_000;

export function simSettings(chosen: {
  readonly seed: number;
  readonly nodes: number;
  readonly accounts: number;
}): SimSettings {
  const { heartbeatInterval, heartbeatTimeout } = brokerOptions(loadConfig({}), 'sim', null);
  return {
    ...chosen,
    rack: Math.max(1, Math.round(chosen.nodes / 25)),
    writesPerSecond: (chosen.accounts * WRITES_PER_ACCOUNT) / DAY_SECONDS,
    skew: 0.7,
    store: {
      shards: Math.max(1, Math.round(chosen.accounts / ACCOUNTS_PER_SHARD)),
      shardOpsPerSecond: SHARD_CORES * CORE_OPS_PER_SECOND,
      // Content, row and receipt, mailbox counters, commit point.
      commitOps: 3,
      latencyMs: 3,
    },
    beatMs: heartbeatInterval! * 1_000,
    silenceMs: heartbeatTimeout! * 1_000,
    checkMs: CHECK_MS,
  };
}
