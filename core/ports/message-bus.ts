/**
 * Messages between nodes as they are sent now: nothing is kept for whoever is not there, and while the connection is down
 * nothing leaves. Whatever must not be lost is in the queue or the mail store.
 */

export interface MessageBus {
  readonly isConnected: boolean;
  /** What one message may be at most, as the server that is connected says. */
  readonly bytesMax: number;
  /**
   * False when it can't leave. Throws TemporaryError for what is larger than `bytesMax`. With a token, whoever
   * listens by `onUnheard` is told it at once when nobody is subscribed to the subject.
   */
  publish(subject: string, bytes: Uint8Array, token?: string): boolean;
  /** Returns the unsubscribe function. */
  onUnheard(listener: (token: string) => void): () => void;
  /**
   * `*` stands for one part of a subject. Holds over reconnections, until the returned function is called. The bytes are
   * the listener's own.
   */
  subscribe(subject: string, listener: (bytes: Uint8Array) => void): () => void;
  /**
   * Resolves when what was published and subscribed to has reached the server; at once while the connection is down.
   * Rejects when it breaks meanwhile.
   */
  flush(): Promise<void>;
  /** Told after each change of `isConnected`. Returns the unsubscribe function. */
  onChange(listener: (connected: boolean) => void): () => void;
}
