/** The pods that manifests make, and the selectors by which others of them name pods. */

import { type Container, type Manifest, type PodSpec, templateOf } from './kustomize.ts';

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}
export interface Port {
  readonly name: string;
  readonly containerPort: number;
}
export interface Pod {
  readonly owner: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  /** Names of the volumes that are made for each of them. */
  readonly claims: readonly string[];
  /** The Service that gives each of them a name. */
  readonly serviceName: string | undefined;
}
export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { key: string; operator: string; values: readonly string[] }[];
}
export type Tell = (problem: string) => unknown;

export const portsIn = (container: Container): readonly Port[] => (container.ports ?? []) as readonly Port[];
export const envIn = (container: Container): readonly EnvVar[] => (container.env ?? []) as readonly EnvVar[];
export const isOurs = ({ image }: Container): boolean => /^mailmesh[:@]/.test(image);

export function podsOf(objects: readonly Manifest[]): Pod[] {
  return objects.flatMap((object) => {
    const template = templateOf(object);
    if (template === undefined) return [];
    const { name } = object.metadata;
    const { labels = {}, annotations = {} } = (template.metadata ?? {}) as Partial<Pod>;
    const { volumeClaimTemplates = [], serviceName } = object.spec as {
      readonly volumeClaimTemplates?: readonly Manifest[];
      readonly serviceName?: string;
    };
    const claims = volumeClaimTemplates.map(({ metadata }) => metadata.name);
    return [{ owner: `${object.kind} ${name}`, name, labels, annotations, spec: template.spec, claims, serviceName }];
  });
}

export const selects = (
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean =>
  Object.entries(matchLabels).every(([name, value]) => labels[name] === value) &&
  matchExpressions.every(({ key, operator, values }) => operator === 'In' && values.includes(labels[key] ?? ''));
