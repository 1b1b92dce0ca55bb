/** The stores of an overlay that brings its own: the addresses and the replica set that nodes are told of are theirs. */

import { containersOf, type Manifest } from './kustomize.ts';
import { envIn, type Pod, type Tell } from './pods.ts';

/** @param page tells the addresses that an operator puts into the Secret */
export function storeProblems(objects: readonly Manifest[], page: string): string[] {
  const mongo = objects.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'mongo');
  if (mongo === undefined) return [];
  const problems: string[] = [];
  const { serviceName } = mongo.spec as { serviceName: string };
  const text = `${JSON.stringify(objects)}${page}`;
  const sets = [/--replSet (\w+)/g, /_id: \\+"(\w+)\\+"/g, /replicaSet=(\w+)/g].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, name]) => name),
  );
  if (new Set(sets).size !== 1) problems.push(`the replica set has several names: ${sets.join(', ')}`);
  const member = `mongo-0.${serviceName}:27017`;
  for (const [, host] of text.matchAll(/(?:mongodb:\/\/|host: \\+"|@)(mongo[\w.-]*:\d+)/g))
    if (host !== member) problems.push(`the member of the replica set is ${member}, not ${host}`);
  for (const [, host] of page.matchAll(/nats:\/\/[^@`]+@([\w.-]+:\d+)/g))
    if (host !== 'nats:4222') problems.push(`NATS is nats:4222, not ${host}`);
  return problems;
}

/** Of every pod: what it names by words in its command or beside it is there. */
export function checkNamed({ spec, serviceName }: Pod, objects: readonly Manifest[], tell: Tell): void {
  const is = (kind: string, name: string): boolean =>
    objects.some((object) => object.kind === kind && object.metadata.name === name);
  const { serviceAccountName } = spec as { serviceAccountName?: string };
  if (serviceAccountName !== undefined && !is('ServiceAccount', serviceAccountName))
    tell(`there is no ServiceAccount ${serviceAccountName}`);
  if (serviceName !== undefined && !is('Service', serviceName)) tell(`there is no Service ${serviceName}`);
  for (const container of containersOf(spec)) {
    const names = envIn(container).map(({ name }) => name);
    const text = JSON.stringify([container.command, container.args, container.env]);
    for (const [, name] of text.matchAll(/\$\((\w+)\)/g))
      if (!names.includes(name!)) tell(`there is no variable ${name}`);
    const mounts = (container.volumeMounts ?? []) as readonly { readonly mountPath: string }[];
    if (/\/tmp\b/.test(text) && !mounts.some(({ mountPath }) => mountPath === '/tmp')) tell('has no temporary folder');
  }
}
