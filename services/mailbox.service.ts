/**
 * The mailbox actors: the only writers of accounts. A commit carries the account's epoch, takes the label events that
 * follow from it along, and tells everyone by a hint.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, ServiceSchema } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import type { AccountId, MailboxId } from '../core/mail/ids.ts';
import { LEASE, type LeaseTimes } from '../core/mesh/lease.ts';
import type { CommitResult, Op } from '../core/ports/mail-store.ts';
import { AccountOwner } from '../mixins/actor.ts';
import { contextOf, type NodeContext } from '../mixins/context.ts';
import type { Params } from '../mixins/contracts.ts';
import { emitFeedbackPending, emitHint } from '../mixins/hints.ts';
import { mayLabel, withLabels } from '../mixins/label-outbox.ts';
import { type PackedCommit, packCommit } from '../mixins/packed-commit.ts';
import { Serial } from '../mixins/serial.ts';

/** Nobody waits for the lease of a node that is alone by design. */
const ALONE: LeaseTimes = { ...LEASE, ttlMs: 30_000, renewMs: 10_000 };
/** Longer than a lease lasts, so that whoever waits for one of a node that is gone gets it. */
const LEASE_WAIT_MS = LEASE.ttlMs + 4_000;

interface Actor {
  context: NodeContext;
  owner: AccountOwner;
  /** Commits that carry labels read before they write: one at a time for each account. */
  serial: Serial<AccountId>;
}

/** Mailboxes whose messages an operation that took effect has changed. */
function touched(ops: readonly Op[], result: CommitResult): MailboxHint['mailboxes'] {
  const mailboxes = new Set<MailboxId>();
  ops.forEach((op, index) => {
    if (!result.results[index]!.ok) return;
    if (op.t === 'append' || op.t === 'store' || op.t === 'expunge') mailboxes.add(op.mailbox);
    else if (op.t === 'move' || op.t === 'copy') mailboxes.add(op.from).add(op.to);
    else if (op.t === 'deleteMailbox') mailboxes.add(op.mailbox);
  });
  return [...mailboxes];
}

const LIST_OPS: ReadonlySet<Op['t']> = new Set(['createMailbox', 'updateMailbox', 'deleteMailbox', 'subscribe']);

export const service: ServiceSchema = {
  name: 'mailbox',
  actions: {
    commit: {
      visibility: 'public',
      strategy: 'Rendezvous',
      async handler(ctx: Context<Params<'mailbox.commit'>>): Promise<CommitResult | PackedCommit> {
        const { context, owner, serial } = this.actor as Actor;
        const { account, request, packed } = ctx.params;
        const write = async (ops: readonly Op[]): Promise<CommitResult> => {
          const result = await owner.commit(account, ops, request);
          emitHint(this.broker, {
            account,
            modSeq: result.modSeq,
            mailboxes: touched(ops, result),
            listChanged: ops.some((op) => LIST_OPS.has(op.t)),
          });
          if (ops.some((op) => op.t === 'outbox')) emitFeedbackPending(this.broker);
          return result;
        };
        try {
          const result = mayLabel(ctx.params)
            ? await serial.run(account, async () =>
                write(await withLabels(context.stores.mail, ctx.params, context.now())),
              )
            : await write(ctx.params.ops);
          context.metrics.commits.inc({ outcome: 'ok' });
          const answer = { ...result, results: result.results.slice(0, ctx.params.ops.length) };
          // Who does not say that it can read a packed answer may be a node of the version before.
          return packed === true && ctx.nodeID !== this.broker.nodeID ? packCommit(answer) : answer;
        } catch (error) {
          context.metrics.commits.inc({ outcome: (error as Error).name });
          throw error;
        }
      },
    },
  },
  methods: {
    /** Before the node stops: other nodes, where there are any, take over one account after the other. */
    async handOver() {
      const { context, owner } = this.actor as Actor;
      const others = context.mesh.nodesOf('mailbox').some((id) => id !== this.broker.nodeID);
      if (others) await owner.drain();
    },
  },
  created() {
    const context = contextOf(this.broker);
    const { mesh } = context;
    const owner = new AccountOwner({
      store: context.stores.mail,
      owner: mesh.self,
      times: mesh.isShared ? LEASE : ALONE,
      waitMs: LEASE_WAIT_MS,
      elapsed: () => performance.now(),
      sleep: (ms) => sleep(ms),
      random: Math.random,
      mine: (account) => mesh.owns('mailbox', account),
      lives: (holder) => mesh.lives(holder),
    });
    mesh.onChange(() => void owner.settle());
    Object.assign(context.metrics.leases, { collect: () => context.metrics.leases.set(owner.count) });
    const actor: Actor = { context, owner, serial: new Serial() };
    this.actor = actor;
  },
  async stopped() {
    await (this.actor as Actor).owner.releaseAll();
  },
};
