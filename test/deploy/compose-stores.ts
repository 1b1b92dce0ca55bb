/** compose.yaml as it is read, and what its stores must keep: passwords, one replica set, and the addresses that nodes use. */

import { parse } from 'yaml';

export interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly tmpfs?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly stop_grace_period?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
}
export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** What the file may say, of what Compose knows: a word that Compose does not know is refused by it as a whole. */
const FIELDS = {
  service: [
    ...['build', 'cap_drop', 'command', 'depends_on', 'entrypoint', 'environment', 'healthcheck', 'image', 'networks'],
    ...['ports', 'read_only', 'restart', 'security_opt', 'stop_grace_period', 'tmpfs', 'volumes'],
  ],
  healthcheck: ['interval', 'retries', 'start_period', 'test', 'timeout'],
};
const CONDITIONS = ['service_started', 'service_healthy', 'service_completed_successfully'];

/** @param text with its variables in place */
export function readCompose(text: string): { readonly file: Compose; readonly unknown: readonly string[] } {
  const file = parse(text, { merge: true }) as Compose;
  const unknown = Object.entries(file.services).flatMap(([name, service]) =>
    [
      ...Object.keys(service).filter((field) => !FIELDS.service.includes(field)),
      ...Object.keys(service.healthcheck ?? {}).filter((field) => !FIELDS.healthcheck.includes(field)),
      ...Object.values(service.depends_on ?? {})
        .map((of) => (typeof of === 'string' ? CONDITIONS[0]! : (of as { condition: string }).condition))
        .filter((condition) => !CONDITIONS.includes(condition)),
    ].map((word) => `compose.yaml: ${name}: Compose does not know ${word}`),
  );
  return { file, unknown };
}

/** The stores ask for a password and hear their own network only, and are what the nodes are told of. */
export function storeProblems(services: Compose['services'], networks: Compose['networks']): string[] {
  const problems: string[] = [];
  const tell = (problem: string): unknown => problems.push(`compose.yaml: ${problem}`);
  const { nats, mongo, 'mongo-initiate': initiate } = services;
  const password = nats?.command?.find((word) => word.startsWith('--pass='))?.slice('--pass='.length);
  for (const word of ['--jetstream', '--user=mailmesh', '--pass=given-NATS_PASSWORD'])
    if (nats?.command?.includes(word) !== true) tell(`nats runs without ${word}`);
  const monitor = nats?.command?.find((word) => word.startsWith('--http_port='))?.slice('--http_port='.length);
  if (nats?.healthcheck?.test.at(-1) !== `http://127.0.0.1:${monitor}/healthz`)
    tell('nats is not asked for its health');
  const text = JSON.stringify([mongo, initiate]);
  const names = [/--replSet (\w+)/, /_id: \\+"(\w+)\\+"/].map((pattern) => pattern.exec(text)?.[1]);
  const users = [mongo?.environment?.MONGO_INITDB_ROOT_USERNAME, mongo?.environment?.MONGO_INITDB_ROOT_PASSWORD];
  for (const { environment = {} } of Object.values(services)) {
    const { MAILMESH_MONGO_URL: mongoUrl, MAILMESH_NATS_URL: natsUrl } = environment;
    if (mongoUrl === undefined || natsUrl === undefined) continue;
    names.push(/replicaSet=(\w+)/.exec(mongoUrl)?.[1]);
    if (!mongoUrl.startsWith(`mongodb://${users.join(':')}@mongo:27017/`)) tell('a node is told of another MongoDB');
    if (natsUrl !== `nats://mailmesh:${password}@nats:4222`) tell('a node is told of another NATS');
  }
  if (new Set(names).size !== 1) tell(`the replica set has several names: ${names.join(', ')}`);
  for (const [, host] of text.matchAll(/(?:host: \\+"|mongodb:\/\/)([\w.:-]+)/g))
    if (host !== 'mongo:27017') tell(`the member of the replica set is mongo:27017, not ${host}`);
  for (const store of [nats, mongo])
    if (store?.networks?.every((name) => networks[name]?.internal === true) !== true)
      tell('a store can be reached from outside');
  return problems;
}
