/**
 * Asks every node again and again whether it is ready, and finds the lies: a command that failed at a node which had said
 * for a while before, and said all the time meanwhile, that none would.
 */

import { setTimeout as after } from 'node:timers/promises';
import type { FailureSeen } from './load.ts';
import { isReady, type Mesh } from './mesh.ts';
import { patiently } from './patience.ts';

const PAUSE_MS = 200;
/** A node may take so long to notice. */
const NOTICE_MS = patiently(2_500);

interface Answer {
  readonly askedAt: number;
  readonly answeredAt: number;
  readonly ready: boolean;
}

export class ReadinessWatch {
  readonly #answers = new Map<string, Answer[]>();
  readonly #running: Promise<unknown>;
  #going = true;

  constructor(mesh: Mesh) {
    this.#running = Promise.all(
      mesh.nodes.map(async (node) => {
        const answers: Answer[] = [];
        this.#answers.set(node.name, answers);
        while (this.#going) {
          const askedAt = performance.now();
          const ready = node.server !== undefined && (await isReady(node.server));
          answers.push({ askedAt, answeredAt: performance.now(), ready });
          await after(PAUSE_MS);
        }
      }),
    );
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#running;
  }

  /** Failures at nodes that said that they were ready from well before the command until it had failed. */
  lies(failures: readonly FailureSeen[]): readonly string[] {
    return failures
      .filter((failure) => this.#isLie(failure))
      .map(({ client, node, message }) => `${client} at ${node}: ${message}`);
  }

  #isLie({ node, kind, message, begunAt, failedAt }: FailureSeen): boolean {
    // A farewell says where the client is not to stay, and a cut connection has no node that could have said something.
    if (kind === 'closed' || kind === 'ended' || kind === 'cut') return false;
    // A full queue is no reason to send readers elsewhere, where it is as full.
    if (message.startsWith('452 4.3.1 ')) return false;
    const around = (this.#answers.get(node) ?? []).filter(
      ({ askedAt, answeredAt }) => answeredAt > begunAt - NOTICE_MS && askedAt < failedAt,
    );
    return around.length > 0 && around[0]!.askedAt <= begunAt - NOTICE_MS + 500 && around.every(({ ready }) => ready);
  }
}
