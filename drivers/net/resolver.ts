/**
 * DNS over node's own resolver: every answer within the time limit, cached (also "there is none"), one question at a time
 * for each name, and, while no server answers at all, an immediate "not now" instead of a wait for every message.
 */

import { Resolver as NodeResolver } from 'node:dns/promises';
import type { RecordType, Resolver } from '../../core/ports/resolver.ts';

export interface DnsResolverOptions {
  readonly timeoutMs: number;
  /** Addresses of servers; empty: the system's. */
  readonly servers: readonly string[];
  readonly now: () => number;
}

const KEEP_MS = 5 * 60_000;
const KEEP_NEGATIVE_MS = 60_000;
const CACHE_MAX = 20_000;
/** After so many failures in a row nothing is asked for a while. */
const FAILURES_MAX = 3;
const PAUSE_MS = 15_000;

const NEGATIVE = new Set(['ENOTFOUND', 'ENODATA']);

type Answer =
  | { readonly until: number; readonly records: unknown[] }
  /** The same error for all who ask: making one with its stack takes longer than the rest of a cached answer. */
  | { readonly until: number; readonly error: Error };

function dnsError(code: string, name: string, type: RecordType): Error {
  return Object.assign(new Error(`${type} ${name}: ${code}`), { code });
}

/** RFC 6761 §6.3, §6.4: these are never asked for. */
function isSpecialUse(name: string): boolean {
  const lower = name.toLowerCase().replace(/\.$/, '');
  return lower === 'localhost' || lower.endsWith('.localhost') || lower === 'invalid' || lower.endsWith('.invalid');
}

export class DnsResolver implements Resolver {
  readonly #resolver: NodeResolver;
  readonly #options: DnsResolverOptions;
  readonly #cache = new Map<string, Answer>();
  readonly #asking = new Map<string, Promise<unknown[]>>();
  #failures = 0;
  #pausedUntil = 0;

  constructor(options: DnsResolverOptions) {
    this.#options = options;
    // Two tries within the limit: the first packet may be lost.
    this.#resolver = new NodeResolver({ timeout: Math.max(1, Math.floor(options.timeoutMs / 3)), tries: 2 });
    if (options.servers.length > 0) this.#resolver.setServers(options.servers);
  }

  resolve(name: string, type: RecordType): Promise<unknown[]> {
    if (isSpecialUse(name)) return Promise.reject(dnsError('ENOTFOUND', name, type));
    const key = `${type} ${name.toLowerCase()}`;
    const now = this.#options.now();
    const cached = this.#cache.get(key);
    if (cached !== undefined && cached.until > now) {
      return 'error' in cached ? Promise.reject(cached.error) : Promise.resolve(structuredClone(cached.records));
    }
    if (now < this.#pausedUntil && now > this.#pausedUntil - PAUSE_MS - 1)
      return Promise.reject(dnsError('ETIMEOUT', name, type));
    const asking = this.#asking.get(key) ?? this.#ask(key, name, type);
    return asking.then((records) => structuredClone(records));
  }

  #ask(key: string, name: string, type: RecordType): Promise<unknown[]> {
    const asking = this.#askOnce(key, name, type).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #askOnce(key: string, name: string, type: RecordType): Promise<unknown[]> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(dnsError('ETIMEOUT', name, type)), this.#options.timeoutMs);
    });
    try {
      const records = (await Promise.race([this.#resolver.resolve(name, type), limit])) as unknown[];
      this.#answered(key, { until: this.#options.now() + KEEP_MS, records });
      return records;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'ESERVFAIL';
      if (NEGATIVE.has(code)) {
        const none = dnsError(code, name, type);
        this.#answered(key, { until: this.#options.now() + KEEP_NEGATIVE_MS, error: none });
        throw none;
      }
      if (++this.#failures >= FAILURES_MAX) this.#pausedUntil = this.#options.now() + PAUSE_MS;
      throw dnsError(code === 'ETIMEOUT' ? code : 'ESERVFAIL', name, type);
    } finally {
      clearTimeout(timer);
    }
  }

  #answered(key: string, answer: Answer): void {
    this.#failures = 0;
    this.#cache.set(key, answer);
    if (this.#cache.size > CACHE_MAX) this.#cache.delete(this.#cache.keys().next().value!);
  }
}
