/**
 * The one writer of packs. Records that wait are written together and share one fdatasync; a record's promise resolves
 * after it. A group that fails is cut off again, so the pack ends with the last record that was acknowledged.
 */

import fs from 'node:fs';
import path from 'node:path';
import { Fault } from '../../core/mail/errors.ts';
import { closeFile, diskError, openFile, syncData, syncFolder, truncateFile, writeAll } from './blob-io.ts';
import { PACK_HEADER } from './blob-pack.ts';

export interface Place {
  readonly pack: number;
  readonly offset: number;
}

interface Waiting {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  readonly resolve: (place: Place) => void;
  readonly reject: (error: Error) => void;
}

const GROUP_BYTES_MAX = 8 * 1024 * 1024;

export const PACK_NAME = /^\d{8,15}\.pack$/;
export const packFile = (folder: string, pack: number): string =>
  path.join(folder, 'packs', `${String(pack).padStart(8, '0')}.pack`);

export class PackAppender {
  readonly #folder: string;
  readonly #packSizeBytesMax: number;
  /** Where each pack ends; the open one's grows with each group that is synced. */
  readonly ends: Map<number, number>;
  #queue: Waiting[] = [];
  /** Packs to be closed before the next group, so that a steady stream of records can't put it off. */
  #seals: { pack: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #running: Promise<void> | undefined;
  #pack = 0;
  #fd: number | undefined;
  #closed = false;

  constructor(folder: string, packSizeBytesMax: number, ends: Map<number, number>) {
    this.#folder = folder;
    this.#packSizeBytesMax = packSizeBytesMax;
    this.ends = ends;
  }

  /** The pack that is appended to, or 0 while there is none. */
  get current(): number {
    return this.#fd === undefined ? 0 : this.#pack;
  }

  /** Goes on with a pack that is whole up to its end. */
  async resume(pack: number): Promise<void> {
    this.#fd = await openFile(packFile(this.#folder, pack), 'r+');
    this.#pack = pack;
  }

  /** Resolves when the record survives power loss. Neither array may change before. */
  append(header: Uint8Array, payload: Uint8Array): Promise<Place> {
    if (this.#closed) return Promise.reject(new Fault('the blob store is closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ header, payload, resolve, reject });
      this.#start();
    });
  }

  /** Closes the pack for good if it is the open one: the next record begins another. */
  seal(pack: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#seals.push({ pack, resolve, reject });
      this.#start();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== undefined) await this.#running;
    await this.#leave();
  }

  #start(): void {
    this.#running ??= new Promise<void>((done) => {
      // Whatever is put in this turn of the event loop joins the first group.
      setImmediate(() => {
        void this.#run().then(() => {
          this.#running = undefined;
          if (this.#queue.length + this.#seals.length > 0) this.#start();
          done();
        });
      });
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length + this.#seals.length > 0) {
      for (const { pack, resolve, reject } of this.#seals.splice(0))
        await (pack === this.current ? this.#leave() : Promise.resolve()).then(resolve, reject);
      if (this.#queue.length === 0) continue;
      let group: Waiting[] = [];
      try {
        const end = await this.#ready(this.#queue[0]!);
        group = this.#take(end);
        await this.#write(group, end);
      } catch (error) {
        const failed = group.length > 0 ? group : this.#queue.splice(0);
        const mapped = diskError(error, packFile(this.#folder, this.#pack));
        for (const one of failed) one.reject(mapped);
      }
    }
  }

  /** Sees to it that a pack with room is open, and says where it ends. */
  async #ready(first: Waiting): Promise<number> {
    const end = this.ends.get(this.current) ?? 0;
    const full = end > PACK_HEADER.length && end + first.header.length + first.payload.length > this.#packSizeBytesMax;
    if (this.#fd !== undefined && !full) return end;
    await this.#leave();
    this.#pack = Math.max(this.#pack, ...this.ends.keys()) + 1;
    const file = packFile(this.#folder, this.#pack);
    const fd = await openFile(file, 'wx');
    try {
      await writeAll(fd, [PACK_HEADER], 0);
      await syncData(fd);
      await syncFolder(path.dirname(file));
    } catch (error) {
      await closeFile(fd);
      fs.rmSync(file, { force: true });
      throw error;
    }
    this.#fd = fd;
    this.ends.set(this.#pack, PACK_HEADER.length);
    return PACK_HEADER.length;
  }

  /** Takes what fits into the pack, but one record at least. */
  #take(end: number): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { header, payload } of this.#queue) {
      const more = bytes + header.length + payload.length;
      if (count > 0 && (more > GROUP_BYTES_MAX || end + more > this.#packSizeBytesMax)) break;
      bytes = more;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #write(group: readonly Waiting[], end: number): Promise<void> {
    const pack = this.#pack;
    const fd = this.#fd!;
    const pieces = group.flatMap(({ header, payload }) => [header, payload]);
    try {
      await writeAll(fd, pieces, end);
    } catch (error) {
      await this.#cut(fd, end);
      throw error;
    }
    try {
      await syncData(fd);
    } catch (error) {
      // After a failed sync the kernel may have dropped the dirty pages: nothing more is trusted to this file.
      await this.#cut(fd, end);
      await this.#leave();
      throw error;
    }
    let offset = end;
    const places: Place[] = [];
    for (const { header, payload } of group) {
      places.push({ pack, offset });
      offset += header.length + payload.length;
    }
    this.ends.set(pack, offset);
    group.forEach(({ resolve }, i) => {
      resolve(places[i]!);
    });
  }

  async #cut(fd: number, end: number): Promise<void> {
    try {
      await truncateFile(fd, end);
    } catch {
      // What can't be cut off stays behind as a torn tail, which readers skip; the next record begins another pack.
      await this.#leave();
    }
  }

  async #leave(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await closeFile(fd);
  }
}
