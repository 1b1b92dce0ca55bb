/**
 * Changes custody records. Each record has one change on its way at a time in this process, and what is asked for
 * meanwhile goes into the next one; changes of many records go together. A change is written only to the very version it
 * was computed from (`mark`), so what another node did meanwhile is read and the change is computed anew: nothing is ever
 * overwritten. Records at work here are remembered, so a stage's step is one write and no reading.
 */

import { TemporaryError } from '../../core/mail/errors.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import type { Collection } from './mongo-collection.ts';
import { type Change, difference } from './queue-changes.ts';
import { FORMAT, NEVER, type QueueDocument } from './queue-document.ts';
import { hasShape } from './queue-shape.ts';

export interface Operation {
  /** The next version; undefined where the operation does not apply. May be asked again, with another version. */
  readonly apply: (document: QueueDocument) => Change | undefined;
  /** Whether a version read after an attempt shows that the attempt was written, before yet another change. */
  readonly happened?: (document: QueueDocument) => boolean;
  /** A change that `apply` computed was not written. */
  readonly withdraw?: (change: Change) => void;
  /** For so long a change is tried again while the store is away, instead of rejecting. Needs `happened`. */
  readonly patienceMs?: number;
}

interface Asked {
  readonly operation: Operation;
  readonly resolve: (change: Change | undefined) => void;
  readonly reject: (error: unknown) => void;
  readonly until: number;
  /** Of the last attempt. */
  change: Change | undefined;
}

interface Slot {
  readonly id: QueueId;
  document: QueueDocument | undefined;
  asked: Asked[];
  isBusy: boolean;
  /** The store was away a moment ago. */
  isPaused: boolean;
}

interface Open {
  readonly slot: Slot;
  readonly asked: readonly Asked[];
}

/** A record's part of one round of writing. */
interface Step extends Open {
  readonly before: QueueDocument;
  after: QueueDocument;
}

const REMEMBERED_MAX = 2_000;
const GROUP_MAX = 64;
const FLIGHTS_MAX = 3;
/** So often another node can have been faster. */
const ROUNDS_MAX = 25;
/** Between two attempts while the store is away. */
const PAUSE_MS = 300;

export class QueueWriter {
  readonly #documents: Collection<QueueDocument>;
  readonly #newMark: () => string;
  readonly #slots = new Map<QueueId, Slot>();
  readonly #waiting = new Set<Slot>();
  #flights = 0;
  #isStarting = false;

  constructor(documents: Collection<QueueDocument>, newMark: () => string) {
    this.#documents = documents;
    this.#newMark = newMark;
  }

  /** A version that was just read or written, of a record that will be worked on. */
  remember(document: QueueDocument): void {
    const slot = this.#slot(document._id);
    if (!slot.isBusy && slot.asked.length === 0) slot.document = document;
  }

  /** The last version known here, if any. */
  remembered(id: QueueId): QueueDocument | undefined {
    return this.#slots.get(id)?.document;
  }

  /**
   * Resolves when the change is written, with it; with undefined where the operation does not apply to the record as it
   * is in the store, or there is none. Rejects with TemporaryError: then nobody knows.
   */
  change(id: QueueId, operation: Operation): Promise<Change | undefined> {
    return new Promise((resolve, reject) => {
      const slot = this.#slot(id);
      const until = performance.now() + (operation.patienceMs ?? 0);
      slot.asked.push({ operation, resolve, reject, until, change: undefined });
      if (slot.isBusy) return;
      this.#waiting.add(slot);
      if (this.#isStarting) return;
      this.#isStarting = true;
      // What is asked for in the same turn goes together.
      setImmediate(() => {
        this.#isStarting = false;
        this.#start();
      });
    });
  }

  #slot(id: QueueId): Slot {
    let slot = this.#slots.get(id);
    if (slot === undefined) {
      slot = { id, document: undefined, asked: [], isBusy: false, isPaused: false };
      this.#slots.set(id, slot);
      if (this.#slots.size > REMEMBERED_MAX) this.#forgetOldest();
    }
    return slot;
  }

  #forgetOldest(): void {
    for (const [id, slot] of this.#slots) {
      if (slot.isBusy || slot.asked.length > 0) continue;
      this.#slots.delete(id);
      return;
    }
  }

  #start(): void {
    while (this.#flights < FLIGHTS_MAX && this.#waiting.size > 0) {
      const group: Slot[] = [];
      for (const slot of this.#waiting) {
        this.#waiting.delete(slot);
        slot.isBusy = true;
        if (group.push(slot) === GROUP_MAX) break;
      }
      this.#flights++;
      void this.#fly(group).finally(() => {
        this.#flights--;
        for (const slot of group) this.#land(slot);
        this.#start();
      });
    }
  }

  #land(slot: Slot): void {
    if (slot.isPaused) {
      slot.isPaused = false;
      setTimeout(() => {
        this.#land(slot);
        this.#start();
      }, PAUSE_MS);
      return;
    }
    slot.isBusy = false;
    if (slot.asked.length > 0) this.#waiting.add(slot);
    else if (slot.document === undefined || slot.document.finished !== NEVER) this.#slots.delete(slot.id);
  }

  /** Brings what is asked of these records to its end, whatever that is. */
  async #fly(group: readonly Slot[]): Promise<void> {
    let open: readonly Open[] = group.map((slot) => ({ slot, asked: slot.asked.splice(0) }));
    const fresh = new Set<Slot>();
    try {
      for (let round = 0; open.length > 0; round++) {
        if (round === ROUNDS_MAX) throw new TemporaryError('storeUnavailable', { detail: 'others are always faster' });
        await this.#read(
          open.map(({ slot }) => slot).filter(({ document }) => document === undefined),
          fresh,
        );
        const steps: Step[] = [];
        const again: Open[] = [];
        for (const { slot, asked } of open) {
          const step = this.#step(slot, asked);
          if (step !== undefined && step.after !== step.before) steps.push(step);
          // What seems not to apply is believed only of a version that was read for it.
          else if (step !== undefined && !fresh.has(slot)) {
            slot.document = undefined;
            again.push({ slot, asked });
          } else for (const one of asked) one.resolve(one.change);
        }
        open = [...again, ...steps];
        open = [...again, ...(await this.#write(steps, fresh))];
      }
    } catch (error) {
      for (const { slot, asked } of open) this.#fail(slot, asked, error);
    }
  }

  /** Whether the last attempt was written is not known. */
  #fail(slot: Slot, asked: Open['asked'], error: unknown): void {
    slot.document = undefined;
    const isAway = error instanceof TemporaryError;
    const patient = asked.filter(({ until }) => isAway && performance.now() < until);
    slot.asked.unshift(...patient);
    slot.isPaused = patient.length > 0;
    for (const one of asked) {
      if (patient.includes(one)) continue;
      withdraw(one);
      one.reject(error);
    }
  }

  async #read(slots: readonly Slot[], fresh: Set<Slot>): Promise<void> {
    if (slots.length === 0) return;
    const filter = { _id: { $in: slots.map(({ id }) => id) }, format: FORMAT };
    const all = await this.#documents.find({ filter });
    const found = new Map(all.filter(hasShape).map((document) => [document._id, document]));
    for (const slot of slots) {
      slot.document = found.get(slot.id);
      fresh.add(slot);
    }
  }

  /** All that is asked of one record as one change; undefined where there is no such record. */
  #step(slot: Slot, asked: Open['asked']): Step | undefined {
    const before = slot.document;
    if (before === undefined) {
      asked.forEach(withdraw);
      return;
    }
    let after = before;
    for (const one of asked) {
      if (one.change !== undefined && one.operation.happened?.(before) === true) continue;
      // What an attempt before has promised was not written.
      withdraw(one);
      one.change = one.operation.apply(after);
      if (one.change !== undefined) after = one.change.document;
    }
    return { slot, before, after, asked };
  }

  /** @returns what must be computed anew, from versions just read */
  async #write(steps: readonly Step[], fresh: Set<Slot>): Promise<readonly Open[]> {
    if (steps.length === 0) return [];
    for (const step of steps) step.after = { ...step.after, mark: this.#newMark() };
    const writes = steps.map(({ before, after }) => ({
      filter: { _id: before._id, mark: before.mark },
      update: { $set: difference(before, after) },
    }));
    const [first] = writes;
    const { matched } =
      writes.length === 1
        ? await this.#documents.updateOne(first!.filter, first!.update)
        : await this.#documents.bulk(writes.map((updateOne) => ({ updateOne })));
    const isWritten = (step: Step): boolean => {
      step.slot.document = step.after;
      for (const one of step.asked) one.resolve(one.change);
      return true;
    };
    if (matched === writes.length) {
      steps.forEach(isWritten);
      return [];
    }
    // The answer does not tell which: the marks do.
    const slots = steps.map(({ slot }) => slot);
    await this.#read(slots, fresh);
    return steps.filter((step) => step.slot.document?.mark !== step.after.mark || !isWritten(step));
  }
}

/** Gives back what the last attempt's change has promised, which is not written and not going to be. */
function withdraw(one: Asked): void {
  if (one.change !== undefined) one.operation.withdraw?.(one.change);
  one.change = undefined;
}
