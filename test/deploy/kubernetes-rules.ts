/**
 * What the manifests must keep beyond their types: each name of ours in them is one of the program's, each reference
 * leads somewhere, every pod is restricted, and the times of stopping fit together.
 */

import type { Config } from '../../core/config/load.ts';
import { ROLE_NAMES } from '../../core/mesh/roles.ts';
import { configOf, isPath, metricLabels, portsOf, SECRET_ENVIRONMENT, unknownNames } from './known-names.ts';
import { type Container, containersOf, type Manifest, type PodSpec, templateOf } from './kustomize.ts';

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}
interface Port {
  readonly name: string;
  readonly containerPort: number;
}
interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}
interface Pod {
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}
interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { key: string; operator: string; values: readonly string[] }[];
}

/** Stands for what a Secret holds. */
const SECRETS: Readonly<Record<string, string>> = {
  MAILMESH_MONGO_URL: 'mongodb://user:password@host/mailmesh',
  MAILMESH_NATS_URL: 'nats://user:password@host',
};
/** To notice the signal and to end after draining. */
const STOP_MARGIN_S = 5;
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;

const portsIn = (container: Container): readonly Port[] => (container.ports ?? []) as readonly Port[];
const envIn = (container: Container): readonly EnvVar[] => (container.env ?? []) as readonly EnvVar[];
const isOurs = ({ image }: Container): boolean => /^mailmesh[:@]/.test(image);

function podsOf(objects: readonly Manifest[]): Pod[] {
  return objects.flatMap((object) => {
    const template = templateOf(object);
    if (template === undefined) return [];
    const { labels = {}, annotations = {} } = (template.metadata ?? {}) as Partial<Pod>;
    return [{ owner: `${object.kind} ${object.metadata.name}`, labels, annotations, spec: template.spec }];
  });
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Readonly<Record<string, string>>) {
  return (
    Object.entries(matchLabels).every(([name, value]) => labels[name] === value) &&
    matchExpressions.every(({ key, operator, values }) => operator === 'In' && values.includes(labels[key] ?? ''))
  );
}

/** @param documented the page that tells which Secrets an operator makes */
export function kubernetesProblems(objects: readonly Manifest[], documented: string): string[] {
  const pods = podsOf(objects);
  const problems = unknownNames(JSON.stringify(objects)).map((name) => `there is no option ${name}`);
  const roles = pods.map(({ spec }) => envIn(spec.containers[0]!).find(({ name }) => name === 'MAILMESH_ROLE')?.value);
  for (const role of ROLE_NAMES)
    if (role !== 'all' && !roles.includes(role)) problems.push(`no pod has the role ${role}`);
  for (const pod of pods) {
    const tell = (problem: string): unknown => problems.push(`${pod.owner}: ${problem}`);
    checkRestricted(pod, tell);
    checkReferences(pod, objects, documented, tell);
    for (const container of pod.spec.containers) if (isOurs(container)) checkNode(pod, container, objects, tell);
  }
  for (const object of objects) {
    const tell = (problem: string): unknown => problems.push(`${object.kind} ${object.metadata.name}: ${problem}`);
    checkSelection(object, pods, tell);
    if (object.kind === 'HorizontalPodAutoscaler') checkScaling(object, objects, tell);
  }
  return problems;
}

type Tell = (problem: string) => unknown;

/** The Pod Security Standard `restricted`, and a root that can't be written. */
function checkRestricted({ spec }: Pod, tell: Tell): void {
  const pod = (spec.securityContext ?? {}) as Record<string, unknown>;
  if (pod.runAsNonRoot !== true || !((pod.runAsUser as number) > 0)) tell('may run as root');
  if ((pod.seccompProfile as { type?: string } | undefined)?.type !== 'RuntimeDefault') tell('no seccomp profile');
  if (spec.automountServiceAccountToken !== false) tell('gets a token of the cluster');
  // The cluster would make up variables that look like options.
  if (spec.enableServiceLinks !== false) tell('gets variables by the names of services');
  for (const container of containersOf(spec)) {
    const context = (container.securityContext ?? {}) as Record<string, unknown>;
    if (context.allowPrivilegeEscalation !== false) tell('may gain privileges');
    if (context.readOnlyRootFilesystem !== true) tell('may write its root');
    if (JSON.stringify(context.capabilities) !== '{"drop":["ALL"]}') tell('keeps capabilities');
    const { requests, limits } = (container.resources ?? {}) as Record<string, Record<string, string> | undefined>;
    if (requests?.cpu === undefined || requests.memory === undefined) tell('requests no cpu or memory');
    if (limits?.memory === undefined) tell('has no limit of memory');
    if (!/^[a-z0-9./-]+:[\w.-]+$/.test(container.image) || container.image.endsWith(':latest'))
      tell(`image ${container.image} has no version`);
  }
}

function checkReferences({ spec }: Pod, objects: readonly Manifest[], documented: string, tell: Tell): void {
  const volumes = (spec.volumes ?? []) as readonly { readonly secret?: { readonly secretName: string } }[];
  const secrets = volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret.secretName]));
  for (const container of containersOf(spec)) {
    for (const { name, value, valueFrom } of envIn(container)) {
      if (valueFrom?.secretKeyRef !== undefined) secrets.push(valueFrom.secretKeyRef.name, valueFrom.secretKeyRef.key);
      else if (value === undefined) tell(`${name} has no value`);
      else if (SECRET_ENVIRONMENT.has(name) || /^(?!MAILMESH_).*(PASSWORD|KEY)$/.test(name))
        tell(`${name} is a secret and stands in the manifest`);
    }
    for (const { configMapRef } of (container.envFrom ?? []) as { configMapRef: { name: string } }[])
      if (!objects.some(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMapRef.name))
        tell(`there is no ConfigMap ${configMapRef.name}`);
  }
  for (const name of secrets)
    if (!documented.includes(`\`${name}\``)) tell(`the documentation says nothing of secret ${name}`);
}

function checkNode(pod: Pod, container: Container, objects: readonly Manifest[], tell: Tell): void {
  const maps = ((container.envFrom ?? []) as { configMapRef: { name: string } }[]).map(({ configMapRef }) =>
    objects.find(({ metadata }) => metadata.name === configMapRef.name),
  );
  const environment: Record<string, string> = {};
  for (const map of maps) Object.assign(environment, map?.data);
  for (const name of Object.keys(environment))
    if (SECRET_ENVIRONMENT.has(name)) tell(`${name} is a secret and stands in a ConfigMap`);
  for (const { name, value } of envIn(container)) environment[name] = value ?? SECRETS[name] ?? '';
  const config = configOf(environment);
  if (typeof config === 'string') return void tell(config);
  checkPorts(pod, container, config, tell);
  checkStopping(pod, container, config, tell);
}

function checkPorts({ annotations }: Pod, container: Container, config: Config, tell: Tell): void {
  const known = portsOf(config);
  for (const { name, containerPort } of portsIn(container))
    if (known.get(name) !== containerPort) tell(`port ${name} is ${known.get(name)}, not ${containerPort}`);
  for (const name of PROBES) {
    const get = (container[name] as Probe | undefined)?.httpGet;
    if (get === undefined) tell(`no ${name} by HTTP`);
    else {
      if (!isPath(get.path)) tell(`${name}: nothing is at ${get.path}`);
      // A restart does not bring a store back: only readiness may ask for more than the process.
      if (get.path !== (name === 'readinessProbe' ? '/readyz' : '/healthz')) tell(`${name} asks ${get.path}`);
      if (get.port !== 'http') tell(`${name} asks port ${get.port}`);
    }
  }
  if (!isPath(annotations['prometheus.io/path'] ?? '')) tell('no path for the metrics');
  if (annotations['prometheus.io/port'] !== String(known.get('http'))) tell('another port for the metrics');
}

function checkStopping({ spec }: Pod, { lifecycle }: Container, config: Config, tell: Tell): void {
  const command = (lifecycle as { preStop?: { exec?: { command?: string[] } } } | undefined)?.preStop?.exec?.command;
  if (command?.[0] !== 'sleep') return void tell('does not wait before it drains');
  const needed = Number(command[1]) + config.drainTimeoutMs / 1000 + STOP_MARGIN_S;
  const given = spec.terminationGracePeriodSeconds as number;
  if (!(given >= needed)) tell(`is killed after ${given} s, but stopping may take ${needed} s`);
}

function checkSelection(object: Manifest, pods: readonly Pod[], tell: Tell): void {
  const spec = (object.spec ?? {}) as Record<string, unknown>;
  const template = templateOf(object);
  if (template !== undefined) {
    if (object.kind !== 'Job' && !selects(spec.selector as Selector, template.metadata?.labels ?? {}))
      tell('does not select its own pods');
    return;
  }
  const selector =
    object.kind === 'Service'
      ? { matchLabels: spec.selector as Record<string, string> }
      : ((spec.podSelector ?? spec.selector) as Selector | undefined);
  if (selector === undefined) return;
  const chosen = pods.filter(({ labels }) => selects(selector, labels));
  if (chosen.length === 0) tell('selects no pod');
  const named = chosen.flatMap((pod) => pod.spec.containers.flatMap(portsIn).map(({ name }) => name));
  const ports = object.kind === 'Service' ? [spec] : ((spec.ingress ?? []) as Record<string, unknown>[]);
  for (const { targetPort, port } of ports.flatMap((rule) => (rule.ports ?? []) as Record<string, unknown>[])) {
    const name = targetPort ?? port;
    if (!named.includes(name as string)) tell(`its pods have no port ${name}`);
  }
}

interface Metric {
  readonly pods?: { readonly metric: MetricName };
  readonly external?: { readonly metric: MetricName };
}
interface MetricName {
  readonly name: string;
  readonly selector?: Selector;
}

function checkScaling({ spec }: Manifest, objects: readonly Manifest[], tell: Tell): void {
  const { scaleTargetRef, metrics } = spec as {
    scaleTargetRef: { kind: string; name: string };
    metrics: readonly Metric[];
  };
  const target = objects.find(
    ({ kind, metadata }) => kind === scaleTargetRef.kind && metadata.name === scaleTargetRef.name,
  );
  if (target === undefined) return void tell(`there is no ${scaleTargetRef.kind} ${scaleTargetRef.name}`);
  if ((target.spec as { replicas?: number }).replicas !== undefined) tell('and its Deployment both set replicas');
  for (const { pods, external } of metrics) {
    const metric = pods?.metric ?? external?.metric;
    if (metric === undefined) continue;
    const labels = metricLabels(metric.name);
    if (labels === undefined) tell(`there is no metric ${metric.name}`);
    for (const label of Object.keys(metric.selector?.matchLabels ?? {}))
      if (labels?.includes(label) === false) tell(`metric ${metric.name} has no label ${label}`);
  }
}
