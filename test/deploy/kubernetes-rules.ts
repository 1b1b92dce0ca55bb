/**
 * What the manifests must keep beyond their types: each name of ours in them is one of the program's, each reference
 * leads somewhere, every pod is restricted, and the times of stopping fit together.
 */

import type { Config } from '../../core/config/load.ts';
import {
  configOf,
  isOption,
  isPath,
  portsOf,
  SECRET_ENVIRONMENT,
  servicesMissing,
  unknownNames,
} from './known-names.ts';
import { type Container, containersOf, type Manifest, templateOf } from './kustomize.ts';
import { LMTP_CLIENT, networkProblems } from './network-rules.ts';
import { valueErrors } from './object-values.ts';
import { envIn, isOurs, type Pod, podsOf, portsIn, type Selector, selects, type Tell } from './pods.ts';
import { type AdapterRules, checkScaling } from './scaling-rules.ts';
import { checkNamed, storeProblems } from './store-rules.ts';
import { checkFolders, checkMounts, checkSecrets, documentedSecrets } from './volume-rules.ts';

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly tcpSocket?: { readonly port: string };
}

/** Stands for what a Secret holds. */
const SECRETS: Readonly<Record<string, string>> = {
  MAILMESH_MONGO_URL: 'mongodb://user:password@host/mailmesh',
  MAILMESH_NATS_URL: 'nats://user:password@host',
};
/** To notice the signal and to end after draining. */
const STOP_MARGIN_S = 5;
/** Where clients look for a protocol that nobody told them the port of. */
const PUBLIC_PORTS: Readonly<Record<string, number>> = {
  ...{ smtp: 25, submission: 587, submissions: 465, lmtp: 24, http: 80 },
  ...{ imap: 143, imaps: 993, pop3: 110, pop3s: 995, mongo: 27017, nats: 4222 },
};
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;

/**
 * @param documented the page that tells which Secrets an operator makes
 * @param adapter what brings metrics to the autoscalers
 */
export function kubernetesProblems(objects: readonly Manifest[], documented: string, adapter: AdapterRules): string[] {
  const pods = podsOf(objects);
  const secrets = documentedSecrets(documented);
  const problems = unknownNames(JSON.stringify(objects)).map((name) => `there is no option ${name}`);
  if (/:\/\/[^\s"/@]*:[^\s"/@]+@/.test(JSON.stringify(objects)))
    problems.push('an address with a password stands in it');
  problems.push(...networkProblems(objects), ...storeProblems(objects, documented), ...valueErrors(objects));
  const roles = pods.flatMap(({ spec }) =>
    envIn(spec.containers[0]!).flatMap(({ name, value = '' }) => (name === 'MAILMESH_ROLE' ? value : [])),
  );
  for (const service of servicesMissing(roles)) problems.push(`no pod runs ${service}`);
  for (const pod of pods) {
    const tell = (problem: string): unknown => problems.push(`${pod.owner}: ${problem}`);
    checkRestricted(pod, tell);
    checkOptions(pod, objects, tell);
    checkSecrets(pod, secrets, tell);
    checkMounts(pod, tell);
    checkNamed(pod, objects, tell);
    checkProbedPorts(pod, tell);
    for (const container of pod.spec.containers)
      if (isOurs(container)) checkNode(pod, container, { objects, secrets }, tell);
  }
  for (const object of objects) {
    const tell = (problem: string): unknown => problems.push(`${object.kind} ${object.metadata.name}: ${problem}`);
    checkSelection(object, pods, tell);
    if (object.kind === 'HorizontalPodAutoscaler') checkScaling(object, objects, adapter, tell);
    if (object.kind === 'PodDisruptionBudget') checkDisruption(object, tell);
    if (object.kind === 'Job' && (object.spec as Record<string, unknown>).ttlSecondsAfterFinished === undefined)
      tell('stays, and no Job can be changed');
  }
  return problems;
}

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

function checkOptions({ spec }: Pod, objects: readonly Manifest[], tell: Tell): void {
  for (const container of containersOf(spec))
    for (const { configMapRef } of (container.envFrom ?? []) as { configMapRef: { name: string } }[])
      if (!objects.some(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMapRef.name))
        tell(`there is no ConfigMap ${configMapRef.name}`);
}

interface Around {
  readonly objects: readonly Manifest[];
  /** Keys by Secret. */
  readonly secrets: ReadonlyMap<string, readonly string[]>;
}

function checkNode(pod: Pod, container: Container, { objects, secrets }: Around, tell: Tell): void {
  const maps = ((container.envFrom ?? []) as { configMapRef: { name: string } }[]).map(({ configMapRef }) =>
    objects.find(({ metadata }) => metadata.name === configMapRef.name),
  );
  const environment: Record<string, string> = {};
  for (const map of maps) Object.assign(environment, map?.data);
  for (const name of Object.keys(environment))
    if (SECRET_ENVIRONMENT.has(name)) tell(`${name} is a secret and stands in a ConfigMap`);
    else if (!isOption(name)) tell(`${name} stands in a ConfigMap and is no option`);
  for (const { name, value } of envIn(container)) environment[name] = value ?? SECRETS[name] ?? '';
  const config = configOf(environment);
  if (typeof config === 'string') return void tell(config);
  checkPorts(pod, container, config, tell);
  checkFolders(pod, container, { config, secrets }, tell);
  checkStopping(pod, container, config, tell);
}

/** Also of those that are not ours: the kubelet asks a port by the name that its container gives it. */
function checkProbedPorts({ spec }: Pod, tell: Tell): void {
  for (const container of containersOf(spec))
    for (const name of PROBES) {
      const { httpGet, tcpSocket } = (container[name] ?? {}) as Probe;
      const port = (httpGet ?? tcpSocket)?.port;
      if (port !== undefined && !portsIn(container).some((own) => own.name === port))
        tell(`${name} asks port ${port}, which its container does not name`);
    }
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
  if (annotations['prometheus.io/scrape'] !== 'true') tell('is not asked for its metrics');
  if (annotations['prometheus.io/path'] !== '/metrics' || !isPath('/metrics')) tell('no path for the metrics');
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
  // Clients of LMTP come from elsewhere.
  if (chosen.length === 0 && !selects(selector, LMTP_CLIENT.labels ?? {})) tell('selects no pod');
  const named = chosen.flatMap((pod) => pod.spec.containers.flatMap(portsIn).map(({ name }) => name));
  const ports = object.kind === 'Service' ? [spec] : ((spec.ingress ?? []) as Record<string, unknown>[]);
  for (const { targetPort, port } of ports.flatMap((rule) => (rule.ports ?? []) as Record<string, unknown>[])) {
    const name = targetPort ?? port;
    if (!named.includes(name as string)) tell(`its pods have no port ${name}`);
    const usual = PUBLIC_PORTS[name as string];
    if (object.kind === 'Service' && usual !== undefined && port !== usual) tell(`${name} is at ${usual}, not ${port}`);
  }
}

/** A budget that leaves no pod to go, or counts pods that do not get ready, would hold up the drain of a machine for ever. */
function checkDisruption({ spec }: Manifest, tell: Tell): void {
  const { maxUnavailable, unhealthyPodEvictionPolicy } = spec as Record<string, unknown>;
  if (!((maxUnavailable as number) >= 1)) tell('lets no pod go');
  if (unhealthyPodEvictionPolicy !== 'AlwaysAllow') tell('keeps pods that are not ready');
}
