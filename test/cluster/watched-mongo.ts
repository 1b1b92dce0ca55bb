/** A connection whose every call on a collection is announced before it is sent and after it was answered. */

import type { Mongo } from '../../drivers/cluster/mongo.ts';

export interface Call {
  /** Counted from 1. */
  readonly number: number;
  readonly collection: string;
  readonly method: string;
}
export type Watch = (when: 'before' | 'after', call: Call) => void | Promise<void>;

export function watchedMongo(mongo: Mongo, watch: Watch): Mongo {
  let calls = 0;
  const watched = (target: object, collection: string): object =>
    new Proxy(target, {
      get: (table, method) => {
        const value = Reflect.get(table, method, table);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const call = { number: ++calls, collection, method: String(method) };
          await watch('before', call);
          const result = await value.apply(table, args);
          await watch('after', call);
          return result;
        };
      },
    });
  return new Proxy(mongo, {
    get: (target, name) => {
      if (name === 'collection') return (wanted: string) => watched(target.collection(wanted), wanted);
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
