/**
 * Values that the types of the Kubernetes API call any string and that a cluster refuses all the same: words of a closed list
 * and quantities.
 */

import type { Manifest } from './kustomize.ts';

/** By field, or by the field around it and the field. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  accessModes: ['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany', 'ReadOnlyMany'],
  externalTrafficPolicy: ['Cluster', 'Local'],
  nodeTaintsPolicy: ['Honor', 'Ignore'],
  operator: ['In', 'NotIn', 'Exists', 'DoesNotExist'],
  'policies.type': ['Pods', 'Percent'],
  policyTypes: ['Ingress', 'Egress'],
  protocol: ['TCP', 'UDP', 'SCTP'],
  restartPolicy: ['Always', 'OnFailure', 'Never'],
  'seccompProfile.type': ['RuntimeDefault', 'Localhost', 'Unconfined'],
  'spec.type': ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'],
  'target.type': ['AverageValue', 'Utilization', 'Value'],
  unhealthyPodEvictionPolicy: ['AlwaysAllow', 'IfHealthyBudget'],
  whenUnsatisfiable: ['DoNotSchedule', 'ScheduleAnyway'],
};
const QUANTITIES = ['requests', 'limits'];
const SCALE: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** NaN for what is no quantity. */
function quantity(text: unknown): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(String(text)) ?? [];
  return Number(number) * (SCALE[unit ?? '?'] ?? Number.NaN);
}

export function valueErrors(objects: readonly Manifest[]): string[] {
  return objects.flatMap((object) => {
    const errors: string[] = [];
    const tell = (problem: string): unknown => errors.push(`${object.kind} ${object.metadata.name}: ${problem}`);
    descend(object, [], tell);
    return errors;
  });
}

function descend(value: unknown, path: readonly string[], tell: (problem: string) => unknown): void {
  const [around = '', field = ''] = path.slice(-2);
  if (Array.isArray(value)) for (const item of value) descend(item, path, tell);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) descend(inner, [...path, name], tell);
    if (field === 'resources') checkResources(value, tell);
    // A metric says what it is twice.
    if (field === 'metrics') {
      const { type } = value as { type: string };
      if (!(type.toLowerCase() in value)) tell(`${type} is not the metric's type`);
    }
  } else {
    const words = WORDS[`${around}.${field}`] ?? WORDS[field];
    if (words?.includes(String(value)) === false) tell(`${field} is ${value}, none of ${words.join(', ')}`);
    if (QUANTITIES.includes(around) && Number.isNaN(quantity(value))) tell(`${field} ${value} is no quantity`);
  }
}

type Amounts = Readonly<Record<string, unknown>>;

function checkResources(
  resources: { readonly requests?: Amounts; readonly limits?: Amounts },
  tell: (problem: string) => unknown,
): void {
  for (const [name, limit] of Object.entries(resources.limits ?? {}))
    if (quantity(resources.requests?.[name]) > quantity(limit)) tell(`requests more ${name} than its limit`);
}
