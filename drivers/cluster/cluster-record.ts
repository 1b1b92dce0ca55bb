/**
 * What the database says of itself, in the documents `cluster`, `migration` and `restore` of `meta`: its name, the format of
 * its documents, and whether a backup is half in it. The number is a flag: it is raised once every node reads the newer form, nodes write the older one until then,
 * and look at it each time they renew their session. A program that does not know the number does not open the database.
 */

import { randomBytes } from 'node:crypto';
import type { Collection } from './mongo-collection.ts';
import { DatabaseUnusable } from './mongo-errors.ts';
import type { Identified } from './mongo-types.ts';

/** The newest form of documents that this program reads and writes. */
const FORMAT = 1;
const RESTORE = 'restore';

interface Meta extends Identified {
  readonly format?: number;
  readonly cluster?: string;
  /** Of a migration: the format that it brings documents to. While it is there, only programs that know it may start. */
  readonly to?: number;
}

export class ClusterRecord {
  readonly #meta: Collection<Meta>;
  readonly #place: string;
  /** The newest format that this program knows. */
  readonly knows: number;
  #name = '';
  #format = 0;
  #wanted = 0;

  /** @param knows only tests give another one */
  constructor(meta: Collection<never>, place: string, knows = FORMAT) {
    this.#meta = meta as unknown as Collection<Meta>;
    this.#place = place;
    this.knows = knows;
  }

  /** Random, the same on every node of this database. */
  get name(): string {
    return this.#name;
  }

  /** That nodes write, as it was when this node looked last. */
  get format(): number {
    return this.#format;
  }

  /** One line where the database has become too new for this program, else null. */
  get trouble(): string | null {
    if (this.#wanted <= this.knows) return null;
    return `the MongoDB database at ${this.#place} was made by a newer version (format ${this.#wanted}, this one knows ${this.knows})`;
  }

  /** Makes the document where it is missing. @throws DatabaseUnusable where the database is newer, or is not one of ours */
  async join(): Promise<void> {
    const fresh = { format: this.knows, cluster: randomBytes(8).toString('hex') };
    // Of two first nodes the second finds what the first has made.
    await this.#meta.updateOne({ _id: 'cluster' }, { $setOnInsert: fresh }, { upsert: true });
    await this.check();
  }

  /** @throws DatabaseUnusable where the database is newer */
  async look(): Promise<void> {
    await this.#read();
    if (this.trouble !== null) throw new DatabaseUnusable(this.trouble);
  }

  /** Looks again. @throws DatabaseUnusable likewise */
  async check(): Promise<void> {
    if (!(await this.#read()))
      throw new DatabaseUnusable(`the MongoDB database at ${this.#place} is not one of Mailmesh`);
    if (this.trouble !== null) throw new DatabaseUnusable(this.trouble);
  }

  async refresh(): Promise<void> {
    await this.#read();
  }

  /** @returns whether there is one */
  async #read(): Promise<boolean> {
    const found = await this.#meta.find({ filter: { _id: { $in: ['cluster', 'migration'] } } });
    const cluster = found.find(({ _id }) => _id === 'cluster');
    if (typeof cluster?.format !== 'number' || typeof cluster.cluster !== 'string') return false;
    this.#name = cluster.cluster;
    this.#format = cluster.format;
    this.#wanted = Math.max(this.#format, found.find(({ _id }) => _id === 'migration')?.to ?? 0);
    return true;
  }

  /** Whether a backup is being put into it, or was until that was cut off. */
  async isHalfRestored(): Promise<boolean> {
    return (await this.#meta.findOne({ _id: RESTORE })) !== undefined;
  }

  async setHalfRestored(is: boolean): Promise<void> {
    if (is) await this.#meta.insertOne({ _id: RESTORE });
    else await this.#meta.deleteOne({ _id: RESTORE });
  }

  /** From the format before. Without effect where it has been raised already. */
  async raise(to: number): Promise<void> {
    await this.#meta.updateOne({ _id: 'cluster', format: to - 1 }, { $set: { format: to } });
    await this.refresh();
  }
}
