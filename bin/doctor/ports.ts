/** Whether each listener's port is free, our own server's, or somebody else's. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from '../../core/config/load.ts';
import { isLoopback } from '../../core/config/option.ts';
import { OPTIONS } from '../../core/config/schema.ts';
import { type ServiceName, servicesOf } from '../../core/mesh/roles.ts';
import { type Finding, finding } from './finding.ts';

async function tryPort(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    if (server.listening) {
      server.close();
      await once(server, 'close');
    }
  }
}

function judge(name: string, env: string, port: number, trouble: string | undefined, running: boolean): Finding {
  const check = `port ${port} (${name})`;
  if (trouble === undefined)
    return running
      ? finding(check, 'warn', 'free, though the server runs: was it started with other options?')
      : finding(check, 'ok', 'free');
  if (trouble === 'EADDRINUSE')
    return running
      ? finding(check, 'ok', 'taken, and the server runs')
      : finding(check, 'fail', `taken by another program: stop it, or set ${env}`);
  if (trouble === 'EACCES') return finding(check, 'fail', `this user may not open it: set ${env} above 1023`);
  if (trouble === 'EADDRNOTAVAIL') return finding(check, 'fail', 'MAILMESH_BIND is no address of this machine');
  return finding(check, 'fail', trouble);
}

/** Which service has the listener; every node has that of HTTP. */
const SERVICE_OF: Readonly<Record<string, ServiceName>> = {
  ...{ smtp: 'smtp', submission: 'submission', submissions: 'submission', lmtp: 'lmtp' },
  ...{ imap: 'imap', imaps: 'imap', pop3: 'pop3', pop3s: 'pop3' },
};

export async function checkPorts(config: Config, running: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const services = servicesOf(config);
  for (const { name, env, type } of OPTIONS) {
    const port = config[name as keyof Config];
    if (type !== 'port') continue;
    const listener = name.replace(/Port$/, '');
    const service = SERVICE_OF[listener];
    if (service !== undefined && !services.includes(service)) continue;
    if (port === null) findings.push(finding(`port (${listener})`, 'info', 'switched off'));
    else if (port === 0) findings.push(finding(`port (${listener})`, 'info', 'any free one'));
    else findings.push(judge(listener, env, port as number, await tryPort(config.bind, port as number), running));
  }
  if (isLoopback(config.bind))
    findings.push(
      finding('bind', 'info', `${config.bind}: only this machine can connect; set MAILMESH_BIND for others`),
    );
  return findings;
}
