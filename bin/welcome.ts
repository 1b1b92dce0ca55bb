/** What `mailmesh start` prints when it is ready: where it listens, who has mail there, and one line each to try it. */

import type { Config } from '../core/config/load.ts';
import type { Listener, MeshNode } from './mesh-node.ts';

interface Ready {
  readonly config: Config;
  readonly node: { readonly id: string; readonly services: readonly string[] };
  readonly firstStart: MeshNode['firstStart'];
  readonly listeners: readonly Listener[];
  readonly readyMs: number;
}

const WORDS: Readonly<Record<string, readonly [title: string, what: string]>> = {
  smtp: ['SMTP', 'mail from the world, STARTTLS'],
  submission: ['Submission', 'mail from users, STARTTLS'],
  submissions: ['Submission', 'mail from users, TLS'],
  lmtp: ['LMTP', 'mail from a front server'],
  imap: ['IMAP', 'reading, STARTTLS'],
  imaps: ['IMAP', 'reading, TLS'],
  pop3: ['POP3', 'reading, STARTTLS'],
  pop3s: ['POP3', 'reading, TLS'],
  http: ['HTTP', 'REST API, /openapi.json, /healthz, /metrics'],
};

/** An address that a client can connect to, where the server takes any. */
const reachable = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host);
const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host);
const endpoint = (listener: Listener): string => `${inUrl(reachable(listener.host))}:${listener.port}`;

function tryLines({ config, firstStart, listeners }: Ready): string[] {
  const at = (name: string): Listener | undefined => listeners.find((listener) => listener.name === name);
  const account = firstStart?.accounts[0];
  const address = account?.address ?? `alice@${config.domain}`;
  const [smtp, imaps, http] = [at('smtp'), at('imaps'), at('http')];
  const lines: string[] = [];
  if (smtp !== undefined)
    lines.push(`swaks --server ${endpoint(smtp)} --from you@example.com --to ${address} --header 'Subject: Hello'`);
  if (imaps !== undefined) {
    const user = account === undefined ? address : `${address}:${account.password}`;
    lines.push(`curl -k --user '${user}' 'imaps://${endpoint(imaps)}/INBOX' -X 'FETCH 1:* (FLAGS ENVELOPE)'`);
  }
  if (http !== undefined) lines.push(`curl http://${endpoint(http)}/readyz`);
  return lines;
}

function clientLines({ listeners }: Ready): string[] {
  const at = (...names: string[]): Listener | undefined =>
    names.map((name) => listeners.find((listener) => listener.name === name)).find((one) => one !== undefined);
  const line = (title: string, listener: Listener | undefined): string[] =>
    listener === undefined
      ? []
      : [
          `${title.padEnd(9)} ${reachable(listener.host)} port ${listener.port}, ${listener.tls ? 'SSL/TLS' : 'STARTTLS'}`,
        ];
  return [
    ...line('Incoming', at('imaps', 'imap')),
    ...line('Outgoing', at('submissions', 'submission')),
    'User name the whole address; the password as above; accept the self-signed certificate',
  ];
}

export function firstLines(ready: Ready): string {
  const { config, node, firstStart, listeners, readyMs } = ready;
  const order = Object.keys(WORDS);
  const sorted = listeners.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const where = sorted.map((listener) => {
    const [title, what] = WORDS[listener.name] ?? [listener.name, ''];
    return `  ${title.padEnd(11)} ${endpoint(listener).padEnd(21)} ${what}`.trimEnd();
  });
  const accounts = firstStart?.accounts ?? [];
  const width = Math.max(0, ...accounts.map(({ address }) => address.length));
  const own =
    config.tlsCert === null ? clientLines(ready) : clientLines(ready).map((line) => line.replace(/; accept .*/, ''));
  const after = `ready after ${(readyMs / 1000).toFixed(1)} s`;
  const mailClient = listeners.some(({ name }) => name.startsWith('imap') || name.startsWith('submission'));
  const block = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ''];
  return [
    ...(config.mongoUrl === null
      ? [`Mailmesh is ${after}. Data: ${config.dataDir}`]
      : [`Node ${node.id} of the mesh is ${after}. It runs ${node.services.join(', ')}.`]),
    '',
    ...where,
    ...(where.length === 0 ? [] : ['']),
    ...(accounts.length === 0
      ? []
      : [
          'Accounts (the passwords are shown this once; mailmesh account set ADDRESS --password-stdin sets a new one)',
          ...accounts.map(({ address, password }) => `  ${address.padEnd(width)}  ${password}`),
          '',
        ]),
    ...block('Try', tryLines(ready)),
    ...block('Mail client', mailClient ? own : []),
    'Ctrl-C ends it. More: npx mailmesh --help, docs/config.md',
  ].join('\n');
}
