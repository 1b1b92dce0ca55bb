/** `mailmesh doctor`: what would keep the server from working, and the DNS records to publish. Changes nothing. */

import { Resolver } from 'node:dns/promises';
import { resolve } from 'node:path';
import type { Config } from '../../core/config/load.ts';
import { isRunning } from '../client.ts';
import type { Command } from '../command.ts';
import { checkCertificate } from '../doctor/certificate.ts';
import { checkDataFolder } from '../doctor/data-folder.ts';
import { type DnsRecord, isLocalName, type Published, publishedState, wantedRecords } from '../doctor/dns-records.ts';
import { type Finding, finding } from '../doctor/finding.ts';
import { checkPorts } from '../doctor/ports.ts';
import { checkServers } from '../doctor/servers.ts';
import { table } from '../table.ts';

interface Examination {
  readonly findings: readonly Finding[];
  readonly dns: readonly (DnsRecord & { readonly published: Published })[];
}

const MARKS: Readonly<Record<Finding['status'], string>> = { ok: 'ok', info: '--', warn: 'WARN', fail: 'FAIL' };

async function examine(config: Config, now: number): Promise<Examination> {
  const running = await isRunning(config.dataDir);
  const server = running
    ? finding('server', 'ok', `runs on ${resolve(config.dataDir)}`)
    : finding('server', 'info', `does not run on ${resolve(config.dataDir)}`);
  const findings = [
    finding('Node', 'ok', process.version),
    server,
    ...(await checkDataFolder(config, now)),
    ...(await checkPorts(config, running)),
    ...(await checkCertificate(config, now)),
    ...(await checkServers(config)),
  ];
  const resolver = new Resolver({ timeout: Math.min(config.resolverTimeoutMs, 3000), tries: 1 });
  if (config.resolverServers !== '') resolver.setServers(config.resolverServers.split(',').map((one) => one.trim()));
  const dns = await Promise.all(
    wantedRecords(config).map(async (record) => ({
      ...record,
      published: await publishedState(record, config, resolver),
    })),
  );
  return { findings, dns };
}

function human({ findings, dns }: Examination, config: Config): string {
  const local = isLocalName(config.domain);
  return [
    table(
      ['check', 'state', 'detail'],
      findings.map(({ check, status, detail }) => [check, MARKS[status], detail]),
    ),
    '',
    local
      ? `DNS: ${config.domain} is a name for this machine only; for a domain of the world these would be published:`
      : 'DNS records to publish:',
    table(
      ['name', 'type', 'value', 'published', 'why'],
      dns.map(({ name, type, value, published, why }) => [
        name,
        type,
        type === 'TXT' ? `"${value}"` : value,
        published,
        why,
      ]),
      300,
    ),
    'DKIM: no record yet, because this server does not sign yet',
  ].join('\n');
}

export const command: Command = {
  name: 'doctor',
  summary: 'Check ports, TLS, disk, clock, permissions, servers, DNS.',
  verbs: [
    {
      name: '',
      args: [],
      summary: 'Looks for what would keep the server from working, and lists DNS records to publish. Changes nothing.',
      notes: ['Exit code 1 when something is marked FAIL.'],
      examples: ['mailmesh doctor', 'MAILMESH_DOMAIN=example.org mailmesh doctor --json'],
      async run(context) {
        const config = await context.config();
        const examination = await examine(config, context.io.now());
        context.show(examination, () => human(examination, config));
        return examination.findings.some(({ status }) => status === 'fail') ? 1 : 0;
      },
    },
  ],
};
