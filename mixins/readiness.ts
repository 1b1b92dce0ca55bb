/** What must be up before a node may say that it is ready. Each part reports for itself; nothing is assumed. */

export interface ListenerInfo {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

const PROBE_MS = 500;

export class Readiness {
  readonly #parts = new Map<string, boolean>();
  readonly listeners: ListenerInfo[] = [];
  /** Listeners that are open, or closed with connections that have not ended yet. */
  readonly #serving = new Set<string>();
  readonly #probes = new Map<string, () => Promise<boolean> | boolean>();
  #probing: Promise<void> | undefined;
  #probedAt = Number.NEGATIVE_INFINITY;
  #draining = false;
  #wasReady = false;
  #quiet: (() => void) | undefined;

  /** Declares a part, not ready yet. */
  expect(part: string): void {
    if (!this.#parts.has(part)) this.#parts.set(part, false);
  }

  set(part: string, ready: boolean): void {
    this.#parts.set(part, ready);
  }

  /** Declares a part that is asked itself, whenever somebody wants to know. One that throws is not ready. */
  probe(part: string, ask: () => Promise<boolean> | boolean): void {
    this.expect(part);
    this.#probes.set(part, ask);
  }

  /** Asks the parts that are to be asked; not more often than makes sense. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#probedAt < PROBE_MS) return this.#probing;
    this.#probedAt = performance.now();
    const asked = [...this.#probes].map(async ([part, ask]) => {
      try {
        this.set(part, await ask());
      } catch {
        this.set(part, false);
      }
    });
    this.#probing = Promise.all(asked).then(() => undefined);
    return this.#probing;
  }

  listening(listener: ListenerInfo): void {
    this.listeners.push(listener);
    this.#serving.add(listener.name);
    this.set(`listener ${listener.name}`, true);
  }

  /** From here on the node is not ready, whatever its parts say. */
  drain(): void {
    this.#wasReady = this.ready;
    this.#draining = true;
  }

  /** A listener's last connection has ended. */
  drained(listener: string): void {
    this.#serving.delete(listener);
    if (this.#serving.size === 0) this.#quiet?.();
  }

  /** Resolves when the last listener is drained; at once in a node that never was ready. */
  quiet(): Promise<void> {
    if (this.#serving.size === 0 || !this.#wasReady) return Promise.resolve();
    return new Promise((resolve) => {
      this.#quiet = resolve;
    });
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  get ready(): boolean {
    return !this.#draining && this.#parts.size > 0 && this.waitingFor.length === 0;
  }

  get waitingFor(): readonly string[] {
    const parts = [...this.#parts].filter(([, ready]) => !ready).map(([part]) => part);
    return this.#draining ? ['draining', ...parts] : parts;
  }
}
