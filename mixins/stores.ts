/** A node's stores, whichever drivers keep them, and what joins it to others. */

import type { Facts } from '../core/mail/errors.ts';
import type { BlobStore } from '../core/ports/blob-store.ts';
import type { Directory } from '../core/ports/directory.ts';
import type { LockStore } from '../core/ports/lock-store.ts';
import type { MailStore } from '../core/ports/mail-store.ts';
import type { MessageBus } from '../core/ports/message-bus.ts';
import type { ModelStore } from '../core/ports/model-store.ts';
import type { Queue } from '../core/ports/queue.ts';
import type { Resolver } from '../core/ports/resolver.ts';
import type { SampleStore } from '../core/ports/sample-store.ts';
import type { SearchStore } from '../core/ports/search-store.ts';

export interface Stores {
  readonly mail: MailStore;
  readonly blobs: BlobStore;
  readonly queue: Queue;
  readonly search: SearchStore;
  readonly samples: SampleStore;
  readonly models: ModelStore;
  readonly directory: Directory;
  readonly locks: LockStore;
  readonly resolver: Resolver;
  /** What joins this node to others; null where one machine is all. */
  readonly mesh: MeshConnection | null;
  close(): Promise<void>;
}

interface MigrationReport {
  readonly format: number;
  /** Documents, since the migration began, over all of its runs. */
  readonly looked: number;
  readonly changed: number;
  /** An earlier run was cut off. */
  readonly resumed: boolean;
}

interface MeshConnection {
  readonly bus: MessageBus;
  /** The same on all nodes of one database, and on no others. */
  readonly name: string;
  /** Rejects, soon, while the database does not answer, and when it has become too new for this program. */
  ping(): Promise<void>;
  /** Whether another living process goes by this node's name. */
  hasTwin(): Promise<boolean>;
  /** Of the database's documents, as this node saw it last and writes them. */
  format(): number;
  /** One line about what is wrong with the servers, as an operator must mend it, or null. */
  trouble(): string | null;
  /** Brings the database to the newest format that this program knows; told of each batch. May be cut off and repeated. */
  migrate(told: (progress: Readonly<Record<string, number | string>>) => void): Promise<MigrationReport>;
  /** Makes the accounts of a backup of a mesh that are not there, with their mailboxes. Safe to be repeated. */
  restoreMail(folder: string): Promise<void>;
  /** Whether a backup is half in the database: kept until it is said that it is not. */
  isHalfRestored(): Promise<boolean>;
  setHalfRestored(is: boolean): Promise<void>;
}

export interface OpenOptions {
  readonly now: () => number;
  /** Names this process in a mesh; what a process of the same name left behind is its own. */
  readonly node: string;
  /** Told of what changes with the servers of a mesh, and of what an operator should know of them. */
  readonly report: (event: string, facts: Facts) => void;
  /** Names of the nodes known to run a service, this one's among them; asked once services run. */
  readonly peers: (service: string) => readonly string[];
}
