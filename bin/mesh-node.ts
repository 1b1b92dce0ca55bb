/**
 * What the command needs of a node of the mesh, and the one place that loads it: a command that talks to a running server
 * never pays for loading the server.
 */

import type { Config } from '../core/config/load.ts';
import type { ActionName, Params, Result } from '../mixins/contracts.ts';

export interface Listener {
  /** `smtp`, `submission`, `submissions`, `lmtp`, `imap`, `imaps`, `pop3`, `pop3s`, `http`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** From the first byte. */
  readonly tls: boolean;
}

export interface StoredBlob {
  readonly blob: string;
  readonly sizeBytes: number;
}

export interface MeshNode {
  /** Its name in the mesh. */
  readonly id: string;
  readonly services: readonly string[];
  /** Accounts made at this start with their passwords, which are kept nowhere; null when there were accounts already. */
  readonly firstStart: { readonly accounts: readonly { readonly address: string; readonly password: string }[] } | null;
  readonly listeners: readonly Listener[];
  call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>>;
  putBlob(stream: AsyncIterable<Uint8Array>): Promise<StoredBlob>;
  readMessage(account: string, mailbox: string, uid: number): AsyncIterable<Uint8Array>;
  stop(): Promise<void>;
}

/** `offline`: the stores and their actions, without listeners, for one command while no server runs. */
export type StartNode = (config: Config, options: { readonly roles: 'all' | 'offline' }) => Promise<MeshNode>;

export const startNode: StartNode = async (config, options) => {
  const node = await import('../mixins/node.ts');
  return node.startNode(config, options);
};
