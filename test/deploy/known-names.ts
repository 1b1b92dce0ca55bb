/** What the program itself calls things: the names that manifests may use for environment, ports, paths and metrics. */

import type { ServiceBroker } from 'moleculer';
import { type Config, loadConfig } from '../../core/config/load.ts';
import { OPTIONS } from '../../core/config/schema.ts';
import { STAGES } from '../../core/filter/verdict.ts';
import { ROLES, SERVICES } from '../../core/mesh/roles.ts';
import { createMetrics } from '../../mixins/metrics.ts';
import { NO_JOBS, operationRoutes } from '../../mixins/rest/operations.ts';

const ENVIRONMENT: ReadonlySet<string> = new Set(OPTIONS.map(({ env }) => env));
export const SECRET_ENVIRONMENT: ReadonlySet<string> = new Set(
  OPTIONS.filter(({ secret }) => secret).map(({ env }) => env),
);

export const isOption = (name: string): boolean => ENVIRONMENT.has(name);

/** Every name of the project's in a text that is no option's. */
export const unknownNames = (text: string): string[] =>
  [...new Set(text.match(/\bMAILMESH_[A-Z0-9_]+\b/g))].filter((name) => !isOption(name));

const PATHS: ReadonlySet<string> = new Set(
  // The handlers are not called, so no broker is needed.
  Object.keys(operationRoutes(undefined as unknown as ServiceBroker)).map((route) => route.replace(/^GET /, '')),
);
export const isPath = (path: string): boolean => PATHS.has(path);

/** Services that none of the roles runs; names that are no role's count for nothing. */
export function servicesMissing(roles: readonly string[]): readonly string[] {
  const known: Readonly<Record<string, readonly string[]>> = ROLES;
  const run = new Set(roles.flatMap((role) => known[role] ?? []));
  return SERVICES.filter((service) => !run.has(service));
}

/** Labels of a metric; undefined when no metric has the name. */
export function metricLabels(name: string): readonly string[] | undefined {
  const metric = createMetrics().registry.getSingleMetric(name) as { labelNames?: readonly string[] } | undefined;
  return metric === undefined ? undefined : (metric.labelNames ?? []);
}

/** Of labels whose values are known beforehand; any other may have any value. */
export const isLabelValue = (label: string, value: string): boolean =>
  label === 'stage' ? (STAGES as readonly string[]).includes(value) : label !== 'state' || value in NO_JOBS;

/** Names of ports as manifests write them, by number: `smtp`, `imaps`, `http`. */
export function portsOf(config: Config): ReadonlyMap<string, number> {
  const ports = OPTIONS.filter(({ type }) => type === 'port').map(
    ({ name }) => [name.replace(/Port$/, ''), config[name as keyof Config] as number] as const,
  );
  return new Map(ports);
}

/** The options that an environment stands for, or what is wrong with it. Secrets need not be the real ones. */
export function configOf(environment: Readonly<Record<string, string>>): Config | string {
  try {
    return loadConfig(environment);
  } catch (error) {
    return (error as Error).message.replaceAll('\n', '; ');
  }
}
