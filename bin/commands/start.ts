/**
 * `mailmesh start`: runs the server until SIGTERM or Ctrl-C, and says where it listens, who has mail there and what to try.
 * The first signal drains (no new connections, running transactions end); a second one ends at once.
 */

import { flushCompileCache } from 'node:module';
import { type Config, ConfigError } from '../../core/config/load.ts';
import { ROLE_NAMES } from '../../core/mesh/roles.ts';
import type { Command, Context } from '../command.ts';
import { CommandError, UsageError } from '../errors.ts';
import type { MeshNode } from '../mesh-node.ts';
import { firstLines } from '../welcome.ts';

/** One Ctrl-C reaches this process several times (terminal, npm, the door): repeats within this are the same one. */
export const SAME_SIGNAL_MS = 500;
/** Beyond the node's own limit: only when draining itself hangs. */
const DRAIN_GRACE_MS = 1000;

interface StartError extends NodeJS.ErrnoException {
  readonly port?: number;
  readonly listener?: string;
  readonly address?: string;
}

function explainStart(error: unknown, config: Config): unknown {
  const { code, port, listener, address } = error as StartError;
  const option = `MAILMESH_${String(listener).toUpperCase()}_PORT`;
  if (code === 'EADDRINUSE')
    return new CommandError(
      `port ${port} (${listener}) on ${address ?? config.bind} is in use: stop what listens there, or set ${option} to another port, 0 (any free one) or off`,
    );
  if (code === 'EACCES' && port !== undefined)
    return new CommandError(
      `port ${port} (${listener}) may not be opened by this user: set ${option} to one above 1023`,
    );
  if (code === 'EADDRNOTAVAIL') return new CommandError(`MAILMESH_BIND: "${config.bind}": an address of this machine`);
  if (code === 'DATA_IN_USE') return new CommandError((error as Error).message);
  return error;
}

/** What the command line said wrongly is told by its own name. */
function explainFlags(error: unknown, { flags }: Context): unknown {
  if (!(error instanceof ConfigError)) return error;
  const wrong = ['role', 'services'].filter((name) => typeof flags[name] === 'string');
  const told = wrong.reduce(
    (text, name) => text.replace(`MAILMESH_${name.toUpperCase()}: `, `--${name}: `),
    error.message,
  );
  return told === error.message ? error : new UsageError(told);
}

/** Resolves with the exit code once the node has stopped. */
function runUntilSignal(node: MeshNode, config: Config, context: Context): Promise<number> {
  return new Promise((resolve, reject) => {
    let first: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      const now = context.io.now();
      if (first !== undefined) {
        if (now - first < SAME_SIGNAL_MS) return;
        context.io.err.write('mailmesh: ending at once\n');
        process.exit(1);
      }
      first = now;
      context.io.err.write(
        `mailmesh: ${signal}: draining, at most ${config.drainTimeoutMs / 1000} s (once more: at once)\n`,
      );
      const timer = setTimeout(() => {
        context.io.err.write('mailmesh: draining took too long\n');
        process.exit(1);
      }, config.drainTimeoutMs + DRAIN_GRACE_MS);
      node.stop().then(
        () => {
          clearTimeout(timer);
          resolve(0);
        },
        (error: unknown) => {
          clearTimeout(timer);
          reject(error);
        },
      );
    };
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, onSignal);
  });
}

/** The command line's say, as the environment would have it. */
function optionsOf({ flags }: Context): Record<string, string> {
  return {
    ...(typeof flags.role === 'string' ? { MAILMESH_ROLE: flags.role } : {}),
    ...(typeof flags.services === 'string' ? { MAILMESH_SERVICES: flags.services } : {}),
  };
}

export const command: Command = {
  name: 'start',
  summary: 'Run the server.',
  verbs: [
    {
      name: '',
      args: [],
      summary: 'Runs the server. At the first start it makes the data folder, a certificate and two accounts.',
      notes: [
        'Options come from the environment and a file: docs/config.md. SIGTERM or Ctrl-C drains and ends it.',
        'With MAILMESH_MONGO_URL and MAILMESH_NATS_URL it is a node of a mesh, and may do a part of the work only.',
      ],
      options: {
        role: { type: 'string', value: 'ROLE', doc: `what this node of a mesh does: ${ROLE_NAMES.join(', ')}` },
        services: { type: 'string', value: 'A,B', doc: 'or which services it runs' },
      },
      examples: [
        'mailmesh start',
        'MAILMESH_DATA_DIR=/srv/mail MAILMESH_DOMAIN=example.org mailmesh start',
        'MAILMESH_CONFIG=/etc/mailmesh.conf mailmesh start',
        'MAILMESH_CONFIG=/etc/mailmesh.conf mailmesh start --role edge',
      ],
      async run(context) {
        const begun = context.io.now();
        const config = await context.config(optionsOf(context)).catch((error: unknown) => {
          throw explainFlags(error, context);
        });
        let node: MeshNode;
        try {
          node = await context.startNode(config, { roles: 'all' });
        } catch (error) {
          throw explainStart(error, config);
        }
        const ended = runUntilSignal(node, config, context);
        // The next start is faster, also when this one ends by a kill.
        flushCompileCache();
        const { id, firstStart, listeners, services } = node;
        const readyMs = context.io.now() - begun;
        context.show({ ready: true, node: id, dataDir: config.dataDir, listeners, firstStart, readyMs }, () =>
          firstLines({ config, node: { id, services }, firstStart, listeners, readyMs }),
        );
        return ended;
      },
    },
  ],
};
