/** What is in the mailboxes once the load has ended: every copy and where it is; and whether every node says the same. */

import assert from 'node:assert/strict';
import { isWhole } from '../../crash/server-load.ts';
import { eventually, withImap } from '../../support/clients.ts';
import { LineClient } from '../../support/line-client.ts';
import { rest } from '../../support/rest.ts';
import type { Login, Server } from '../../support/server.ts';
import { copyName, type Found } from './ledger.ts';
import type { Mesh } from './mesh.ts';
import { patiently } from './patience.ts';

const LOAD_ID = /@load\.example>$/;
const DRAIN_MS_MAX = patiently(90_000);

interface Depth {
  readonly stage: string;
  readonly blocked: number;
  readonly ready: number;
  readonly running: number;
  readonly waiting: number;
  readonly dead: number;
}

/** Resolves when nothing accepted is on its way any more; none of it may have been given up. Milliseconds it took. */
export async function drained(mesh: Mesh, deadlineMs = DRAIN_MS_MAX): Promise<number> {
  const begun = performance.now();
  let last = '';
  await eventually(
    'empty queue',
    async () => {
      const answer = await rest(mesh.up, '/v1/queue-depth', { key: mesh.key });
      last = answer.body.toString();
      if (answer.status !== 200) return undefined;
      const depths = answer.json<Depth[] | { items: Depth[] }>();
      const stages = Array.isArray(depths) ? depths : depths.items;
      const dead = stages.filter(({ dead }) => dead > 0);
      assert.deepEqual(dead, [], 'no message is given up');
      return stages.every((depth) => depth.blocked + depth.ready + depth.running + depth.waiting === 0)
        ? true
        : undefined;
    },
    deadlineMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; ${last}`);
  });
  return performance.now() - begun;
}

/** One line per message of an account as a node shows it. */
async function view(server: Server, login: Login, mailboxes: readonly string[]): Promise<string[]> {
  const client = await LineClient.open(server.ports.imap!);
  await client.line();
  await client.imap(`LOGIN ${login.address} "${login.password}"`);
  const lines: string[] = [];
  for (const mailbox of mailboxes) {
    const selected = await client.imap(`EXAMINE "${mailbox}" (CONDSTORE)`);
    const state = selected.filter((line) => /UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ/.test(line));
    const fetched = await client.imap('UID FETCH 1:* (FLAGS MODSEQ)');
    lines.push(...[...state, ...fetched.filter((line) => line.startsWith('* '))].map((line) => `${mailbox} ${line}`));
  }
  client.close();
  return lines.filter((line) => !line.includes('RECENT'));
}

async function collect(server: Server, login: Login, mailboxes: Map<string, string[]>, flags: Map<string, string>) {
  const paths: string[] = [];
  await withImap(server, login, async (client) => {
    for (const { path } of await client.list()) {
      paths.push(path);
      const { exists } = await client.mailboxOpen(path);
      if (exists === 0) continue;
      for await (const message of client.fetch('1:*', { envelope: true, source: true, flags: true })) {
        const id = message.envelope?.messageId ?? '';
        if (!LOAD_ID.test(id)) {
          flags.set(login.address, [...(message.flags ?? [])].filter((flag) => flag !== '\\Recent').join(' '));
          continue;
        }
        const copy = copyName(login.address, id);
        assert.ok(isWhole(message.source!), `${copy} in ${path} is not what was sent`);
        mailboxes.set(copy, [...(mailboxes.get(copy) ?? []), path]);
      }
    }
  });
  return paths;
}

/** Through the node that is given by `from`; any other must show the same UIDs, flags and MODSEQs. */
export async function inspect(mesh: Mesh, from: number): Promise<Found> {
  const servers = mesh.nodes.flatMap(({ server }) => (server === undefined ? [] : [server]));
  const mailboxes = new Map<string, string[]>();
  const flags = new Map<string, string>();
  for (const login of mesh.accounts) {
    const paths = await collect(servers[from % servers.length]!, login, mailboxes, flags);
    const [first, ...others] = await Promise.all(servers.map((server) => view(server, login, paths)));
    for (const other of others) assert.deepEqual(other, first, `${login.address} is the same at every node`);
  }
  return { mailboxes, flags };
}
