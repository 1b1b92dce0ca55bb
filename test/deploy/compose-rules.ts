/**
 * What compose.yaml must keep: its nodes start with the options they are given, nothing is published beyond loopback
 * unless asked for, no password stands in the file, and every name in it leads somewhere.
 */

import type { Config } from '../../core/config/load.ts';
import { type Compose, readCompose, type Service, storeProblems } from './compose-stores.ts';
import { configOf, isPath, portsOf, servicesMissing, unknownNames } from './known-names.ts';

type Tell = (problem: string) => unknown;

const STOP_MARGIN_S = 5;

/** What Compose makes of `${NAME:-default}`, `${NAME:?message}` and `$$` when only the required variables are set. */
export const interpolate = (text: string): string =>
  text.replace(/\$\$|\$\{(\w+)(:-|:\?)([^}]*)\}/g, (whole, name, kind, rest) =>
    whole === '$$' ? '$' : kind === ':-' ? rest : `given-${name}`,
  );

/** @param image variables that the image sets */
export function composeProblems(text: string, image: Readonly<Record<string, string>>): string[] {
  const problems = unknownNames(text).map((name) => `compose.yaml: there is no option ${name}`);
  for (const [, name] of text.matchAll(/\$\{(\w*(?:PASSWORD|KEY)\w*)(?!\w|:\?)/g))
    problems.push(`compose.yaml: ${name} is not required`);
  const { file, unknown } = readCompose(interpolate(text));
  problems.push(...unknown);
  const { services, networks, volumes } = file;
  const roles: string[] = [];
  for (const [name, service] of Object.entries(services)) {
    const tell: Tell = (problem) => problems.push(`compose.yaml: ${name}: ${problem}`);
    checkReferences(service, { services, networks, volumes }, tell);
    checkPublished(service, tell);
    for (const [variable, value] of Object.entries(service.environment ?? {}))
      if (/PASSWORD|KEY/.test(variable) && !value.startsWith('given-')) tell(`${variable} stands in the file`);
    if (!service.image.startsWith('mailmesh:')) continue;
    const config = configOf({ ...image, ...service.environment });
    if (typeof config === 'string') tell(config);
    else {
      roles.push(...config.role.split(','));
      checkNode(service, config, tell);
    }
  }
  for (const service of servicesMissing(roles)) problems.push(`compose.yaml: no node runs ${service}`);
  return [...problems, ...storeProblems(services, networks)];
}

function checkReferences(service: Service, compose: Compose, tell: Tell): void {
  const wanted = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
  for (const name of wanted) if (!(name in compose.services)) tell(`waits for ${name}, which is not there`);
  for (const [name, { condition }] of Array.isArray(service.depends_on) ? [] : Object.entries(service.depends_on ?? {}))
    if (condition === 'service_healthy' && compose.services[name]?.healthcheck === undefined)
      tell(`waits for the health of ${name}, which is not asked for it`);
  for (const name of service.networks ?? []) if (!(name in compose.networks)) tell(`there is no network ${name}`);
  for (const volume of service.volumes ?? [])
    if (!(volume.split(':')[0]! in compose.volumes)) tell(`there is no volume ${volume}`);
  if (!/:[\w.-]+$/.test(service.image) || service.image.endsWith(':latest')) tell('its image has no version');
}

function checkPublished({ ports = [] }: Service, tell: Tell): void {
  for (const port of ports) if (!port.startsWith('127.0.0.1:')) tell(`${port} is published beyond loopback`);
}

function checkNode(service: Service, config: Config, tell: Tell): void {
  const known = [...portsOf(config).values()];
  for (const port of service.ports ?? [])
    if (!known.includes(Number(port.split(':').at(-1)))) tell(`publishes ${port}, where nothing listens`);
  if (service.volumes?.some((volume) => config.dataDir.startsWith(`${volume.split(':')[1]}/`)) !== true)
    tell(`${config.dataDir} is in no volume`);
  if (service.tmpfs?.includes('/tmp') !== true) tell('has no temporary folder');
  const { nats, 'mongo-initiate': initiate } = (service.depends_on ?? {}) as Readonly<
    Record<string, { condition: string }>
  >;
  if (nats?.condition !== 'service_healthy' || initiate?.condition !== 'service_completed_successfully')
    tell('starts before its stores');
  if (service.read_only !== true) tell('may write its root');
  if (service.cap_drop?.join() !== 'ALL') tell('keeps capabilities');
  if (service.security_opt?.includes('no-new-privileges:true') !== true) tell('may gain privileges');
  const [, program, file, path] = service.healthcheck?.test ?? [];
  if (program !== 'node' || file !== '/app/bin/healthcheck.mjs' || !isPath(path ?? '')) tell('no health check');
  const needed = config.drainTimeoutMs / 1000 + STOP_MARGIN_S;
  if (!(Number.parseInt(service.stop_grace_period ?? '', 10) >= needed))
    tell(`may be killed before ${needed} s are over`);
}
