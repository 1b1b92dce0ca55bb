/** What must be up before a node may say that it is ready. Each part reports for itself; nothing is assumed. */

export interface ListenerInfo {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export class Readiness {
  readonly #parts = new Map<string, boolean>();
  readonly listeners: ListenerInfo[] = [];
  #draining = false;

  /** Declares a part, not ready yet. */
  expect(part: string): void {
    if (!this.#parts.has(part)) this.#parts.set(part, false);
  }

  set(part: string, ready: boolean): void {
    this.#parts.set(part, ready);
  }

  listening(listener: ListenerInfo): void {
    this.listeners.push(listener);
    this.set(`listener ${listener.name}`, true);
  }

  /** From here on the node is not ready, whatever its parts say. */
  drain(): void {
    this.#draining = true;
  }

  get ready(): boolean {
    return !this.#draining && this.#parts.size > 0 && this.waitingFor.length === 0;
  }

  get waitingFor(): readonly string[] {
    const parts = [...this.#parts].filter(([, ready]) => !ready).map(([part]) => part);
    return this.#draining ? ['draining', ...parts] : parts;
  }
}
