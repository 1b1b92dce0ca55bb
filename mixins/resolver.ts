/** The resolver as it is configured, the same in both modes. */

import type { Config } from '../core/config/load.ts';
import type { Resolver } from '../core/ports/resolver.ts';
import { DnsResolver } from '../drivers/net/resolver.ts';

export function dnsResolver(config: Config, now: () => number): Resolver {
  const servers = config.resolverServers.split(',').filter((server) => server !== '');
  return new DnsResolver({ timeoutMs: config.resolverTimeoutMs, servers, now });
}
