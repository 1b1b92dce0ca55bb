/**
 * Every action of the mesh with its parameters and result: the typed face of `broker.call`, which takes bare strings.
 * A service that offers an action and everyone who calls it read the types here; `call()` is the only way to call.
 */

import type { Context, ServiceBroker } from 'moleculer';
import type { Stage } from '../core/filter/verdict.ts';
import type { AccountId, MailboxId, ModelId } from '../core/mail/ids.ts';
import type { Damage } from '../core/ports/blob-store.ts';
import type { Alias, ApiKey, ApiScope, DirectoryAccount, Domain, SpamPreferences } from '../core/ports/directory.ts';
import type { AccountState, CommitResult, Mailbox, Op } from '../core/ports/mail-store.ts';
import type { ModelEvent, ModelInfo } from '../core/ports/model-store.ts';
import type { MessageRecord, MessageState, QueueDepth } from '../core/ports/queue.ts';
import type { StoredLabel } from '../core/ports/sample-store.ts';

/** One page of a listing; `cursor` is opaque and null on the last page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly cursor: string | null;
}
export interface PageRequest {
  readonly cursor?: string;
  /** 1 … 1,000; 100 when not given. */
  readonly limit?: number;
}

export interface AccountView extends DirectoryAccount {
  readonly usage: AccountState | null;
}
export interface MessageSummary {
  readonly mailbox: string;
  readonly uid: number;
  readonly flags: readonly string[];
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  readonly subject: string;
  readonly from: string;
  readonly messageId: string;
  readonly queueId: string;
}
export interface MessageView extends MessageSummary {
  /** As mailparser reads it. */
  readonly to: string;
  readonly cc: string;
  readonly date: string | null;
  readonly text: string;
  readonly html: string | null;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly {
    readonly filename: string | null;
    readonly contentType: string;
    readonly sizeBytes: number;
    readonly sha256: string;
  }[];
}
export type MaintenanceReport = Readonly<Record<string, number | string | readonly Damage[]>>;

export interface NodeStatus {
  readonly id: string;
  readonly host: string;
  readonly version: string;
  readonly services: readonly string[];
  /** `unreachable`: known to be there, but it did not answer. */
  readonly state: 'ready' | 'not ready' | 'draining' | 'unreachable';
  /** Why it is not ready. */
  readonly waitingFor: readonly string[];
  readonly upMs: number;
  /** Share of one processor that the process used since it was asked last; null when it did not answer. */
  readonly cpu: number | null;
  readonly memoryBytes: number | null;
  readonly connections: number | null;
  /** Accounts whose mailboxes it writes just now. */
  readonly leases: number | null;
  /** Version of the model that its filters score with; 0 for none. */
  readonly model: number | null;
  /** Of the mesh's documents, as the node writes them; null on one machine. */
  readonly format: number | null;
  /** What is wrong with the mesh's servers, in one line; null for nothing. */
  readonly trouble: string | null;
}

interface Contracts {
  'mailbox.commit': {
    params: {
      account: AccountId;
      ops: readonly Op[];
      /** Who wants it, for the log: a session, request or queue id. */
      session: string;
      /** `filter`: delivery, import, housekeeping; never a label. */
      by: 'user' | 'filter';
      /** What the user says of these messages by the API, beside the operations. */
      label?: { mailbox: MailboxId; uids: Uint32Array; label: 'spam' | 'ham' | 'withdrawn' };
      /** Names the commit, so that asking for it again changes nothing; set by `commit()` in mixins/commit.ts alone. */
      request?: string;
      /** Whoever asks reads an answer of `packCommit` in mixins/packed-commit.ts, which another node's is then. */
      packed?: boolean;
    };
    result: CommitResult;
  };

  'account.create': {
    params: {
      address: string;
      password: string;
      quotaBytes?: number | null;
      quotaMessages?: number | null;
    };
    result: AccountView;
  };
  'account.list': { params: PageRequest; result: Page<AccountView> };
  /** By address or id. */
  'account.get': { params: { account: string }; result: AccountView };
  'account.update': {
    params: {
      account: string;
      enabled?: boolean;
      quotaBytes?: number | null;
      quotaMessages?: number | null;
      password?: string;
      spam?: SpamPreferences;
    };
    result: AccountView;
  };
  'account.remove': { params: { account: string }; result: { removed: true } };

  'domain.create': { params: { name: string }; result: Domain };
  'domain.list': { params: PageRequest; result: Page<Domain> };
  'domain.get': { params: { name: string }; result: Domain };
  /** catchAll: an account's address or id, or null for none. */
  'domain.update': { params: { name: string; catchAll: string | null }; result: Domain };
  'domain.remove': { params: { name: string }; result: { removed: true } };

  'alias.create': { params: { address: string; accounts: readonly string[] }; result: Alias };
  'alias.list': { params: PageRequest; result: Page<Alias> };
  'alias.get': { params: { address: string }; result: Alias };
  /** Gives it other accounts, in one step. */
  'alias.update': { params: { address: string; accounts: readonly string[] }; result: Alias };
  'alias.remove': { params: { address: string }; result: { removed: true } };

  /** The secret is in this answer only. */
  'apikey.create': { params: { name: string; scope: ApiScope }; result: Omit<ApiKey, 'hash'> & { secret: string } };
  'apikey.list': { params: PageRequest; result: Page<Omit<ApiKey, 'hash'>> };
  'apikey.revoke': { params: { id: string }; result: { revoked: true } };

  'folder.list': { params: { account: string }; result: Page<Mailbox> };
  'folder.create': { params: { account: string; name: string }; result: Mailbox };
  'folder.remove': { params: { account: string; mailbox: string }; result: { removed: true } };

  /** Newest first; `mailbox` is a name. */
  'message.list': { params: PageRequest & { account: string; mailbox: string }; result: Page<MessageSummary> };
  'message.get': { params: { account: string; mailbox: string; uid: number }; result: MessageView };
  'message.search': {
    params: PageRequest & { account: string; query: string; mailbox?: string };
    result: Page<MessageSummary>;
  };
  /** A label by API: spam, ham, or taking the user's label back. Moves the message as a user would. */
  'message.label': {
    params: { account: string; mailbox: string; uid: number; label: 'spam' | 'ham' | 'withdrawn' };
    result: { label: string };
  };
  /** Puts a message whose blob is in the store already into a mailbox; `dedupe` makes it idempotent. */
  'message.append': {
    params: {
      account: string;
      mailbox: string;
      blob: string;
      sizeBytes: number;
      flags?: readonly string[];
      /** Seconds since 1970. */
      internalDate?: number;
      dedupe?: string;
    };
    result: { mailbox: string; uid: number; duplicate: boolean };
  };

  'queue.list': {
    params: PageRequest & { state?: MessageState; stage?: Stage };
    result: Page<MessageRecord>;
  };
  'queue.show': { params: { id: string }; result: MessageRecord };
  'queue.retry': { params: { id: string; stage?: Stage }; result: { jobs: number } };
  'queue.drop': { params: { id: string; why: string }; result: { dropped: true } };
  'queue.depth': { params: Record<string, never>; result: readonly QueueDepth[] };
  /** By queue id or Message-ID. */
  'trace.find': { params: { id: string }; result: Page<MessageRecord> };

  'model.list': { params: PageRequest; result: Page<ModelInfo> };
  'model.show': { params: { model: string }; result: ModelInfo & { events: readonly ModelEvent[] } };
  /** By id, unique prefix of it, or version number. */
  'model.activate': { params: { model: string; who: string; why: string }; result: ModelInfo };
  /** Trains a candidate now and puts it through the gate. */
  'model.retrain': { params: { who: string }; result: { model: ModelInfo | null; outcome: string } };
  'model.labels': { params: PageRequest & { account?: string }; result: Page<StoredLabel> };
  /** Which model the filters of this node score with. */
  'spam.running': { params: Record<string, never>; result: { model: ModelId | null; version: number } };

  /** Trains a candidate and puts it through the gate, on whichever node runs the trainer. */
  'trainer.train': { params: { who: string }; result: Result<'model.retrain'> };

  /** What the asked node is and does. */
  'node.status': { params: Record<string, never>; result: NodeStatus };
  /** All nodes of the mesh, by name. */
  'nodes.list': { params: PageRequest; result: Page<NodeStatus> };

  'maintenance.migrate': { params: Record<string, never>; result: MaintenanceReport };
  'maintenance.verify': { params: { repair: boolean }; result: MaintenanceReport };
  'maintenance.backup': { params: { destination: string }; result: MaintenanceReport };
  'maintenance.collect': { params: Record<string, never>; result: MaintenanceReport };
  'maintenance.stats': { params: Record<string, never>; result: Readonly<Record<string, number>> };
}

export type ActionName = keyof Contracts;
export type Params<A extends ActionName> = Contracts[A]['params'];
export type Result<A extends ActionName> = Contracts[A]['result'];

/** A question with a deadline (the broker's requestTimeout unless given), to a node by name or to whichever suits. */
export function call<A extends ActionName>(
  through: ServiceBroker | Context<never, never>,
  action: A,
  params: Params<A>,
  options: { readonly timeoutMs?: number; readonly nodeId?: string } = {},
): Promise<Result<A>> {
  const callOptions = {
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.nodeId === undefined ? {} : { nodeID: options.nodeId }),
  };
  return (through as ServiceBroker).call(action, params as never, callOptions) as Promise<Result<A>>;
}
