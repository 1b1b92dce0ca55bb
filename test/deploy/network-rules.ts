/**
 * What the network policies let through, evaluated as Kubernetes defines them, beside what a mesh needs: each flow that is
 * needed is open at both of its ends, and no other one is.
 */

import { ROLE_NAMES } from '../../core/mesh/roles.ts';
import type { Manifest } from './kustomize.ts';
import { type Pod, podsOf, portsIn, type Selector, selects } from './pods.ts';

type Labels = Readonly<Record<string, string>>;
interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
}
interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { readonly port: string | number }[];
}
interface Policy {
  readonly podSelector: Selector;
  readonly policyTypes: readonly ('Ingress' | 'Egress')[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}
/** A pod of the mesh's namespace, something in another namespace, or, with neither, an address anywhere. */
interface End {
  readonly name: string;
  readonly labels?: Labels;
  readonly namespace?: Labels;
}
/** A policy may name a port by either. */
interface Door {
  readonly name: string;
  readonly containerPort: number;
}

const WORLD: End = { name: 'the world' };
const NAME_SERVER: End = { name: 'the name server', namespace: { 'kubernetes.io/metadata.name': 'kube-system' } };
const API_CLIENT: End = { name: 'an API client', namespace: { 'mailmesh/api-client': 'true' } };
const METRICS_READER: End = { name: 'a metrics reader', namespace: { 'mailmesh/metrics-reader': 'true' } };
export const LMTP_CLIENT: End = { name: 'an LMTP client', labels: { 'mailmesh/lmtp-client': 'true' } };

/** Somebody's pod in the mesh's namespace. */
const STRANGER: End = { name: 'another pod', labels: {} };

/** Each role's Deployment has its name. */
const NODES: readonly string[] = ROLE_NAMES;
const PUBLIC = ['smtp', 'submission', 'submissions', 'imap', 'imaps', 'pop3', 'pop3s'];
const DNS: Door = { name: 'dns', containerPort: 53 };
const STORES: readonly Door[] = [
  { name: 'mongo', containerPort: 27017 },
  { name: 'nats', containerPort: 4222 },
];
/** Whatever else listens somewhere. */
const FOREIGN: readonly Door[] = [25, 80, 443, 8080].map((containerPort) => ({
  name: `${containerPort}`,
  containerPort,
}));

const isPeer = ({ podSelector, namespaceSelector }: Peer, { labels, namespace }: End): boolean =>
  namespaceSelector === undefined
    ? labels !== undefined && podSelector !== undefined && selects(podSelector, labels)
    : namespace !== undefined && podSelector === undefined && selects(namespaceSelector, namespace);

const lets = (rules: readonly Rule[] = [], side: 'from' | 'to', other: End, door: Door): boolean =>
  rules.some(
    (rule) =>
      (rule[side] === undefined || rule[side].some((peer) => isPeer(peer, other))) &&
      (rule.ports === undefined || rule.ports.some(({ port }) => port === door.name || port === door.containerPort)),
  );

/** A pod that no policy of a direction selects is open in it; for any other, one that allows it is enough. */
function isOpen(policies: readonly Policy[], from: End, to: End, door: Door): boolean {
  const of = ({ labels }: End, type: 'Ingress' | 'Egress'): Policy[] =>
    labels === undefined
      ? []
      : policies.filter(({ policyTypes, podSelector }) => policyTypes.includes(type) && selects(podSelector, labels));
  const [leaving, entering] = [of(from, 'Egress'), of(to, 'Ingress')];
  return (
    (leaving.length === 0 || leaving.some(({ egress }) => lets(egress, 'to', to, door))) &&
    (entering.length === 0 || entering.some(({ ingress }) => lets(ingress, 'from', from, door)))
  );
}

function isNeeded(from: End, to: Pod, port: string): boolean {
  switch (from) {
    case LMTP_CLIENT:
      return port === 'lmtp';
    case METRICS_READER:
      if (port === 'http') return true;
      break;
    case API_CLIENT:
      if (to.name === 'gateway') return true;
      break;
  }
  if (from.labels === undefined) return PUBLIC.includes(port);
  if (port === 'nats') return NODES.includes(from.name);
  return port === 'mongo' && (NODES.includes(from.name) || from.name.startsWith('mongo'));
}

export function networkProblems(objects: readonly Manifest[]): string[] {
  const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec as unknown as Policy);
  const pods = podsOf(objects);
  const inside: readonly End[] = [...pods, LMTP_CLIENT];
  const problems: string[] = [];
  const expect = (wanted: boolean, from: End, to: End, door: Door): void => {
    if (isOpen(policies, from, to, door) !== wanted)
      problems.push(`${from.name} ${wanted ? 'cannot' : 'can'} reach ${to.name}, port ${door.name}`);
  };
  for (const to of pods)
    for (const door of to.spec.containers.flatMap(portsIn))
      for (const from of [WORLD, API_CLIENT, METRICS_READER, STRANGER, ...inside])
        expect(isNeeded(from, to, door.name), from, to, door);
  for (const from of inside) {
    expect(true, from, NAME_SERVER, DNS);
    for (const door of STORES)
      expect(NODES.includes(from.name) && !pods.some(({ name }) => name === door.name), from, WORLD, door);
  }
  for (const door of FOREIGN) {
    for (const from of [...inside, STRANGER]) expect(false, from, WORLD, door);
    expect(false, WORLD, STRANGER, door);
  }
  return problems;
}
