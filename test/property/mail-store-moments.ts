/** Processes of the cluster's mail store on one server in memory, which meet at chosen calls to it. */

import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { START, TestAccount } from '../contract/mail-store-fixtures.ts';
import { type Gate, MemoryMongo, type Moment } from '../support/memory-mongo.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Doc {
  readonly _id: string;
  readonly number?: number;
}

/** What a process does when a call comes to this moment, before the call goes on: `collection.method at`. */
export type Meeting = readonly [at: `${string}.${string} ${Moment['at']}`, meet: () => Promise<unknown>];

export class Moments {
  readonly clock = { now: START };
  readonly #connect = MemoryMongo.server();
  /** A connection and a process that nothing happens to. */
  readonly mongo: Mongo = this.#connect();
  readonly other: ClusterMailStore = this.#open(this.mongo);

  #open(mongo: Mongo, tombstonesKept?: number): ClusterMailStore {
    return new ClusterMailStore({
      ...{ mongo, now: () => this.clock.now },
      ...(tombstonesKept === undefined ? {} : { tombstonesKept }),
    });
  }

  /** A process that meets others at each of these moments, the first time; or each time. */
  process(meetings: readonly Meeting[], { always = false, tombstonesKept }: Options = {}): ClusterMailStore {
    const left = new Map(meetings);
    const gate: Gate = async ({ collection, method, at }) => {
      await turn();
      const name = `${collection}.${method} ${at}` as const;
      const meet = left.get(name);
      if (!always) left.delete(name);
      await meet?.();
    };
    return this.#open(this.#connect(gate), tombstonesKept);
  }

  /** An account of this process, with a lease that runs out at once. */
  async account(store: ClusterMailStore = this.other): Promise<TestAccount> {
    return TestAccount.create(store);
  }

  async all(collection: string): Promise<Doc[]> {
    return this.mongo.collection<Doc>(collection).find({ filter: {} });
  }

  /** The collector goes round. */
  async collect(days = 0, store = this.other): Promise<void> {
    const now = this.clock.now + days * 24 * 3600_000;
    while (await store.gc(now, Number.POSITIVE_INFINITY));
  }
}

interface Options {
  readonly always?: boolean;
  readonly tombstonesKept?: number;
}

/** Waited for here until somebody lets it go on. */
export function barrier(): {
  readonly wait: () => Promise<void>;
  readonly open: () => void;
  readonly met: Promise<void>;
} {
  const [opened, met] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const wait = (): Promise<void> => {
    met.resolve();
    return opened.promise;
  };
  return { wait, open: opened.resolve, met: met.promise };
}
