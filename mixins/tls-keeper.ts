/**
 * The certificate: the configured pair, or a self-signed one made in the data folder at the first start. Replaced files
 * are noticed within RELOAD_MS and used by the next handshake; files that can't be used are reported and the old pair
 * stays. At the start there is no old pair: a configured one is refused by name, one of ours is made anew.
 */

import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Config, ConfigError } from '../core/config/load.ts';
import { selfSigned } from './self-signed.ts';

const RELOAD_MS = 10_000;

export class TlsKeeper {
  #context: SecureContext | undefined;
  #stamp = '';
  #timer: NodeJS.Timeout | undefined;
  readonly #certFile: string;
  readonly #keyFile: string;
  readonly #config: Config;
  readonly #report: (error: unknown) => void;

  constructor(config: Config, report: (error: unknown) => void) {
    this.#config = config;
    this.#report = report;
    this.#certFile = config.tlsCert ?? join(config.dataDir, 'tls', 'cert.pem');
    this.#keyFile = config.tlsKey ?? join(config.dataDir, 'tls', 'key.pem');
  }

  /** Loads the pair, making it first where none is configured and none is there. Rejects with ConfigError. */
  async open(now: number): Promise<void> {
    try {
      await this.#load();
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      if (this.#config.tlsCert !== null) {
        const right = `a PEM file with a certificate, its key in MAILMESH_TLS_KEY (${message})`;
        throw new ConfigError([{ option: 'MAILMESH_TLS_CERT', value: this.#config.tlsCert, right }]);
      }
      if (code !== 'ENOENT') this.#report(error);
      await this.#make(now);
      await this.#load();
    }
    this.#timer = setInterval(() => void this.#load().catch(this.#report), RELOAD_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  get context(): SecureContext {
    return this.#context!;
  }

  async #make(now: number): Promise<void> {
    await mkdir(join(this.#config.dataDir, 'tls'), { recursive: true, mode: 0o700 });
    const others = ['localhost', '127.0.0.1', '::1'].filter((other) => other !== this.#config.hostname);
    const { cert, key } = selfSigned(this.#config.hostname, others, now);
    await replaceFile(this.#keyFile, key, 0o600);
    await replaceFile(this.#certFile, cert, 0o644);
  }

  async #load(): Promise<void> {
    const stamps = await Promise.all([this.#certFile, this.#keyFile].map((file) => stat(file)));
    const stamp = stamps.map((entry) => `${entry.ino}.${entry.mtimeMs}.${entry.size}`).join(' ');
    if (stamp === this.#stamp) return;
    const [cert, key] = await Promise.all([readFile(this.#certFile), readFile(this.#keyFile)]);
    // A pair that does not match throws here, and the old context stays in use.
    this.#context = createSecureContext({ cert, key, minVersion: 'TLSv1.2', honorCipherOrder: true });
    this.#stamp = stamp;
  }
}

/** There is never half a file under the name, whenever the process ends. */
async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(`${file}.new`, 'w', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
