/**
 * What pods mount and which Secrets they name: a mount has its volume, a key is one that an operator is told to make, each
 * secret option gets the key of its own name, and what the node writes lies where it may.
 */

import type { Config } from '../../core/config/load.ts';
import { SECRET_ENVIRONMENT } from './known-names.ts';
import { type Container, containersOf } from './kustomize.ts';
import { envIn, type Pod, type Tell } from './pods.ts';

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string };
}
interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

const mountsIn = (container: Container): readonly Mount[] => (container.volumeMounts ?? []) as readonly Mount[];
const volumesOf = ({ spec }: Pod): readonly Volume[] => (spec.volumes ?? []) as readonly Volume[];

/** Keys by Secret, as the table of the page tells them; a row without a name goes on with the one before. */
export function documentedSecrets(page: string): ReadonlyMap<string, readonly string[]> {
  const secrets = new Map<string, string[]>();
  let name = '';
  const table = page.split('| Secret | key |')[1]?.split('\n\n')[0] ?? '';
  for (const [, first, keys] of table.matchAll(/^\| *(?:`([^`]+)`)? *\|([^|]+)\|/gm)) {
    name = first ?? name;
    secrets.set(name, [...(secrets.get(name) ?? []), ...[...keys!.matchAll(/`([^`]+)`/g)].map(([, key]) => key!)]);
  }
  return secrets;
}

export function checkSecrets(pod: Pod, secrets: ReadonlyMap<string, readonly string[]>, tell: Tell): void {
  for (const { secret } of volumesOf(pod))
    if (secret !== undefined && !secrets.has(secret.secretName))
      tell(`the documentation says nothing of secret ${secret.secretName}`);
  for (const container of containersOf(pod.spec))
    for (const { name, value, valueFrom } of envIn(container)) {
      const from = valueFrom?.secretKeyRef;
      if (from === undefined) {
        if (value === undefined) tell(`${name} has no value`);
        else if (SECRET_ENVIRONMENT.has(name) || /^(?!MAILMESH_).*(PASSWORD|KEY)$/.test(name))
          tell(`${name} is a secret and stands in the manifest`);
      } else if (secrets.get(from.name)?.includes(from.key) !== true)
        tell(`the documentation says nothing of secret ${from.name}, key ${from.key}`);
      else if (SECRET_ENVIRONMENT.has(name) && from.key !== keyOf(name)) tell(`${name} is taken from key ${from.key}`);
    }
}

/** MAILMESH_NATS_URL is nats-url. */
const keyOf = (option: string): string =>
  option
    .replace(/^MAILMESH_/, '')
    .replaceAll('_', '-')
    .toLowerCase();

export function checkMounts(pod: Pod, tell: Tell): void {
  const names = [...volumesOf(pod).map(({ name }) => name), ...pod.claims];
  for (const container of containersOf(pod.spec))
    for (const { name } of mountsIn(container)) if (!names.includes(name)) tell(`there is no volume ${name}`);
}

/** @param config that of the pod's node */
export function checkFolders(
  pod: Pod,
  container: Container,
  { config, secrets }: { readonly config: Config; readonly secrets: ReadonlyMap<string, readonly string[]> },
  tell: Tell,
): void {
  const mounts = mountsIn(container);
  const writable = mounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath);
  // What is mounted may belong to root, and the node wants its data folder for itself.
  if (!writable.some((path) => config.dataDir.startsWith(`${path}/`)))
    tell(`${config.dataDir} is not inside of what is mounted`);
  if (!writable.includes('/tmp')) tell('has no temporary folder');
  const files = mounts.flatMap(({ name, mountPath }) => {
    const secret = volumesOf(pod).find((volume) => volume.name === name)?.secret;
    return (secrets.get(secret?.secretName ?? '') ?? []).map((key) => `${mountPath}/${key}`);
  });
  for (const path of [config.tlsCert, config.tlsKey])
    if (path !== null && !files.includes(path)) tell(`${path} is in no Secret`);
}
