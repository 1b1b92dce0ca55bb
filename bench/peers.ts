/** The peers that are measured beside us, started when the first measurement wants them. */

import type { Peer } from './measure.ts';
import { dovecotMissing, startDovecot } from './peer-dovecot.ts';
import { postfixMissing, startPostfix } from './peer-postfix.ts';
import { logins, type System } from './system.ts';

export const PEER_NAMES: Readonly<Record<Peer, string>> = {
  dovecot: 'Dovecot',
  postfixDovecot: 'Postfix → Dovecot',
  postfixDiscard: 'Postfix → discard',
};

export class Peers {
  readonly #started = new Map<Peer, Promise<System>>();

  /** Why there is no such peer here, or null. */
  missing(peer: Peer): string | null {
    if (peer === 'dovecot') return dovecotMissing();
    return postfixMissing() ?? (peer === 'postfixDovecot' ? dovecotMissing() : null);
  }

  system(peer: Peer): Promise<System> {
    const known = this.#started.get(peer);
    if (known !== undefined) return known;
    const started = this.#start(peer);
    this.#started.set(peer, started);
    return started;
  }

  async stop(): Promise<void> {
    // Postfix before what it delivers to.
    for (const started of [...this.#started.values()].reverse()) {
      const [outcome] = await Promise.allSettled([started]);
      if (outcome!.status === 'fulfilled') await outcome!.value.stop();
    }
  }

  async #start(peer: Peer): Promise<System> {
    const name = PEER_NAMES[peer];
    if (peer === 'dovecot') return startDovecot();
    if (peer === 'postfixDiscard') return startPostfix({ name, transport: 'discard:', users: logins() });
    const dovecot = await this.system('dovecot');
    const transport = `lmtp:inet:127.0.0.1:${dovecot.ports.lmtp}`;
    return startPostfix({ name, transport, users: dovecot.users, behind: dovecot });
  }
}
