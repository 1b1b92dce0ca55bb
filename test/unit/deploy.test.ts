/**
 * Goal: image, compose.yaml and k8s/ fit the program. The tree itself has no problem, each rule finds what it is there
 * for, and overlays are built as the real kustomize builds them.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { deployProblems } from '../deploy/check.ts';
import { composeProblems, interpolate } from '../deploy/compose-rules.ts';
import { dockerfileProblems, imageEnvironment } from '../deploy/dockerfile-rules.ts';
import { applyPatch, type Json } from '../deploy/json-patch.ts';
import { kubernetesProblems } from '../deploy/kubernetes-rules.ts';
import { buildKustomization, type Manifest, OVERLAYS, overlayFolder } from '../deploy/kustomize.ts';
import { typeErrors } from '../deploy/object-types.ts';
import { adapterProblems, adapterRules } from '../deploy/scaling-rules.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = read('docs/deployment.md');
const adapter = read('k8s/prometheus-adapter.yaml');
const large = (): Manifest[] => buildKustomization(overlayFolder(root, 'large'));

const byName = (objects: readonly Manifest[]): Map<string, Manifest> =>
  new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));

test('the tree has no problem', () => {
  assert.deepEqual(deployProblems(root), []);
});

const problemsOf = (objects: readonly Manifest[]): string =>
  kubernetesProblems(objects, page, adapterRules(adapter)).join('\n');

const kubectl = spawnSync('kubectl', ['kustomize', '--help']).status === 0;
for (const overlay of OVERLAYS)
  test(`overlay ${overlay} is built as kustomize builds it`, { skip: !kubectl && 'there is no kubectl' }, () => {
    const folder = overlayFolder(root, overlay);
    const { stdout, stderr, status } = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const expected = parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
    assert.deepEqual(byName(buildKustomization(folder)), byName(expected));
  });

/** Changes one place of one object of an overlay. */
function changed(name: string, path: string, value?: Json, overlay: (typeof OVERLAYS)[number] = 'large'): Manifest[] {
  const objects = buildKustomization(overlayFolder(root, overlay));
  const object = byName(objects).get(name);
  assert.ok(object !== undefined, name);
  applyPatch(object as unknown as Json, [value === undefined ? { op: 'remove', path } : { op: 'add', path, value }]);
  return objects;
}

test('fields, types and kinds that the Kubernetes API does not have are found at their places', () => {
  const container = '/spec/template/spec/containers/0';
  const cases: [Manifest[], RegExp][] = [
    [
      changed('Deployment intake', `${container}/imagee`, 'x'),
      /intake\.spec\.template\.spec\.containers\[0\]\.imagee: .*known/,
    ],
    [changed('Deployment intake', `${container}/ports/1/containerPort`, 'x'), /ports\[1\]\.containerPort: .*number/],
    [changed('Deployment intake', `${container}/name`), /containers\[0\]: .*missing/],
    [changed('Service mail', '/spec/typ', 'ClusterIP'), /Service mail\.spec\.typ: /],
    [changed('Service mail', '/kind', 'Servise'), /no exported member 'Servise'/],
    [changed('Service mail', '/apiVersion', 'example.org/v1'), /no types for example.org\/v1/],
  ];
  for (const [objects, expected] of cases) assert.match(typeErrors(root, objects).join('\n'), expected);
});

test('each rule for manifests finds what it is there for', () => {
  const pod = '/spec/template/spec';
  const container = `${pod}/containers/0`;
  const cases: [name: string, path: string, value: Json | undefined, expected: RegExp][] = [
    ['Deployment intake', `${container}/env/0/name`, 'MAILMESH_ROLL', /there is no option MAILMESH_ROLL/],
    ['Deployment intake', `${container}/env/0/value`, 'intaek', /MAILMESH_ROLE.*intake/],
    ['Deployment intake', `${container}/env/0/value`, 'filter', /no pod runs smtp/],
    [
      'Deployment intake',
      `${container}/env/1`,
      { name: 'MAILMESH_MONGO_URL', value: 'mongodb://a:b@c' },
      /is a secret/,
    ],
    ['Deployment intake', `${container}/env/1/valueFrom/secretKeyRef/key`, 'url', /nothing of secret/],
    ['Deployment intake', `${container}/envFrom/0/configMapRef/name`, 'other', /no ConfigMap other/],
    ['Deployment intake', `${container}/ports/0/containerPort`, 25, /port smtp is 2525, not 25/],
    ['Deployment intake', `${container}/readinessProbe/httpGet/path`, '/ready', /nothing is at \/ready/],
    ['Deployment intake', `${container}/livenessProbe/httpGet/path`, '/readyz', /livenessProbe asks \/readyz/],
    ['Deployment intake', `${container}/startupProbe`, undefined, /no startupProbe/],
    ['Deployment intake', `${pod}/terminationGracePeriodSeconds`, 30, /is killed after 30 s/],
    ['Deployment intake', `${container}/lifecycle`, undefined, /does not wait/],
    ['Deployment intake', `${pod}/enableServiceLinks`, true, /variables by the names/],
    ['Deployment intake', `${pod}/automountServiceAccountToken`, true, /token/],
    ['Deployment intake', `${pod}/securityContext/runAsUser`, 0, /root/],
    ['Deployment intake', `${pod}/securityContext/seccompProfile`, undefined, /seccomp/],
    ['Deployment intake', `${container}/securityContext/readOnlyRootFilesystem`, false, /write its root/],
    ['Deployment intake', `${container}/securityContext/capabilities/drop`, [], /keeps capabilities/],
    ['Deployment intake', `${container}/resources/requests/memory`, undefined, /requests no/],
    ['Deployment intake', `${container}/image`, 'mailmesh', /has no version/],
    [
      'Deployment intake',
      '/spec/template/metadata/annotations/prometheus.io~1path',
      '/metric',
      /no path for the metrics/,
    ],
    ['Deployment intake', '/spec/selector/matchLabels/app.kubernetes.io~1name', 'x', /select its own pods/],
    ['Service mail', '/spec/selector/app.kubernetes.io~1name', 'x', /selects no pod/],
    ['Service mail', '/spec/ports/0/targetPort', 'smpt', /no port smpt/],
    ['NetworkPolicy lmtp', '/spec/ingress/0/ports/0/port', 'ltmp', /no port ltmp/],
    ['PodDisruptionBudget intake', '/spec/selector/matchLabels/app.kubernetes.io~1name', 'x', /selects no pod/],
    ['HorizontalPodAutoscaler intake', '/spec/scaleTargetRef/name', 'x', /no Deployment x/],
    [
      'HorizontalPodAutoscaler intake',
      '/spec/metrics/0/pods/metric/name',
      'mailmesh_conns',
      /no metric mailmesh_conns/,
    ],
    [
      'HorizontalPodAutoscaler filter',
      '/spec/metrics/0/external/metric/selector/matchLabels/role',
      'x',
      /no label role/,
    ],
    [
      'HorizontalPodAutoscaler filter',
      '/spec/metrics/0/external/metric/selector/matchLabels/state',
      'open',
      /no state open/,
    ],
    ['Deployment filter', '/spec/replicas', 3, /both set replicas/],
    [
      'Deployment intake',
      `${container}/env/1/valueFrom/secretKeyRef/key`,
      'nats-url',
      /MONGO_URL is taken from key nats/,
    ],
    [
      'Deployment intake',
      `${container}/env/1/valueFrom/secretKeyRef/name`,
      'mailmesh-tls',
      /mailmesh-tls, key mongo-url/,
    ],
    ['Deployment intake', `${container}/env/3/value`, '/etc/mailmesh/tls/tls.pem', /tls.pem is in no Secret/],
    ['Deployment intake', `${container}/volumeMounts/0/name`, 'dat', /there is no volume dat/],
    ['Deployment intake', `${container}/volumeMounts/1`, undefined, /no temporary folder/],
    ['Deployment intake', `${pod}/serviceAccountName`, 'x', /no ServiceAccount x/],
    ['Deployment intake', `${container}/resources/requests/memory`, '384MiB', /memory 384MiB is no quantity/],
    ['Deployment intake', `${container}/resources/requests/memory`, '1Gi', /requests more memory than its limit/],
    [
      'Deployment intake',
      `${pod}/topologySpreadConstraints/0/whenUnsatisfiable`,
      'Never',
      /whenUnsatisfiable is Never/,
    ],
    ['HorizontalPodAutoscaler intake', '/spec/metrics/0/type', 'Object', /Object is not the metric's type/],
    ['HorizontalPodAutoscaler intake', '/spec/metrics/1/resource/target/type', 'Share', /type is Share/],
    ['HorizontalPodAutoscaler intake', '/spec/minReplicas', 61, /at least 61 and at most 60/],
    ['Service mail', '/spec/ports/0/port', 26, /smtp is at 25, not 26/],
    ['Service gateway', '/spec/ports/0/port', 8080, /http is at 80, not 8080/],
    ['PodDisruptionBudget intake', '/spec/maxUnavailable', 0, /lets no pod go/],
    ['PodDisruptionBudget intake', '/spec/unhealthyPodEvictionPolicy', undefined, /keeps pods that are not ready/],
  ];
  for (const [name, path, value, expected] of cases)
    assert.match(problemsOf(changed(name, path, value)), expected, `${name} ${path}`);
  const options = (name: string, value: string): string => {
    const objects = large();
    (objects.find(({ kind }) => kind === 'ConfigMap')!.data as Record<string, string>)[name] = value;
    return problemsOf(objects);
  };
  assert.match(options('MAILMESH_NATS_URL', 'nats://a'), /stands in a ConfigMap/);
  assert.match(options('NATS_PASSWORD', 'x'), /NATS_PASSWORD stands in a ConfigMap and is no option/);
  assert.match(options('MAILMESH_DOMAIN', 'nats://a:b@c'), /an address with a password/);
  // A mounted folder may belong to root.
  assert.match(options('MAILMESH_DATA_DIR', '/data'), /\/data is not inside of what is mounted/);
});

test('each rule for the stores of the small overlay finds what it is there for', () => {
  const container = '/spec/template/spec/containers/0';
  const cases: [name: string, path: string, value: Json | undefined, expected: RegExp][] = [
    ['StatefulSet nats', `${container}/args/3`, '--pass=$(NATS_PASS)', /no variable NATS_PASS/],
    ['StatefulSet nats', `${container}/livenessProbe/httpGet/port`, 'http', /asks port http, which its container/],
    ['StatefulSet nats', `${container}/env/0/valueFrom/secretKeyRef/key`, 'pass', /mailmesh-stores, key pass/],
    ['StatefulSet mongo', '/spec/serviceName', 'db', /no Service db/],
    ['StatefulSet mongo', `${container}/args/0`, 'mongod --replSet rs1', /the replica set has several names/],
    ['StatefulSet mongo', `${container}/volumeMounts/2`, undefined, /no temporary folder/],
    ['Job mongo-initiate', '/spec/ttlSecondsAfterFinished', undefined, /no Job can be changed/],
    ['NetworkPolicy mongo', '/spec/ingress/0/from', undefined, /the world can reach mongo, port mongo/],
    ['NetworkPolicy nats', '/spec/podSelector/matchLabels', { a: 'b' }, /intake cannot reach nats|can reach nats/],
    ['NetworkPolicy stores', '/spec/egress/1/ports/0/port', 4223, /intake cannot reach nats, port nats/],
  ];
  for (const [name, path, value, expected] of cases)
    assert.match(problemsOf(changed(name, path, value, 'small')), expected, `${name} ${path}`);
});

test('flows that the mesh needs are open and no other one is', () => {
  const cases: [name: string, path: string, value: Json | undefined, expected: RegExp][] = [
    ['default-deny', '/spec/policyTypes', ['Ingress'], /another pod can reach the world, port 443/],
    ['default-deny', '/spec/podSelector', { matchLabels: { a: 'b' } }, /the world can reach another pod/],
    ['dns', '/spec/egress/0/ports', [{ protocol: 'TCP', port: 5353 }], /filter cannot reach the name server/],
    ['stores', '/spec/egress/0/ports/1/port', 4223, /intake cannot reach the world, port nats/],
    ['stores', '/spec/podSelector/matchExpressions/0/values', ['filter'], /intake cannot reach the world, port mongo/],
    ['mail', '/spec/ingress/0/ports/0/port', 'lmtp', /the world can reach intake, port lmtp/],
    ['mail', '/spec/ingress/0/ports/0/port', 'http', /the world cannot reach intake, port smtp/],
    ['lmtp', '/spec/ingress/0/from/0/podSelector/matchLabels', { a: 'b' }, /an LMTP client cannot reach intake/],
    ['lmtp-clients', '/spec/egress/0/ports/0/port', 2525, /an LMTP client cannot reach intake, port lmtp/],
    ['gateway', '/spec/ingress/0/from', undefined, /the world can reach gateway, port http/],
    ['gateway', '/spec/podSelector', {}, /an API client can reach filter, port http/],
    ['metrics', '/spec/podSelector/matchExpressions/0/values', ['access'], /a metrics reader cannot reach filter/],
  ];
  for (const [name, path, value, expected] of cases)
    assert.match(problemsOf(changed(`NetworkPolicy ${name}`, path, value)), expected, `${name} ${path}`);
});

test('what the autoscalers ask for is what the adapter finds among the metrics', () => {
  const asked = (from: string, to: string): string => {
    assert.ok(adapter.includes(from), from);
    const rules = adapterRules(adapter.replaceAll(from, to));
    return [...adapterProblems(rules), ...kubernetesProblems(large(), page, rules)].join('\n');
  };
  assert.match(
    asked('as: mailmesh_queue_jobs', 'as: mailmesh_jobs'),
    /filter: the adapter has no rule for mailmesh_que/,
  );
  assert.match(
    asked('as: mailmesh_connections', 'as: connections'),
    /intake: the adapter has no rule for mailmesh_conn/,
  );
  assert.match(asked("'mailmesh_connections{", "'mailmesh_conns{"), /there is no metric mailmesh_conns/);
  assert.match(
    asked('matches: mailmesh_queue_jobs', 'matches: mailmesh_que'),
    /mailmesh_que is not mailmesh_queue_jobs/,
  );
  assert.match(asked('(stage, state)', '(stage, status)'), /no label status/);
  assert.match(asked(' by (<<.GroupBy>>)', ''), /mailmesh_connections is not told by pod/);
  assert.match(asked('pod!=""', 'node!=""'), /mailmesh_connections may be without pod/);
});

test('each rule for compose.yaml finds what it is there for', () => {
  const text = read('compose.yaml');
  const cases: [from: string, to: string, expected: RegExp][] = [
    ['MAILMESH_ROLE: edge', 'MAILMESH_ROL: edge', /no option MAILMESH_ROL/],
    ['MAILMESH_ROLE: edge', 'MAILMESH_ROLE: filter', /no node runs smtp/],
    ['127.0.0.1:2424:2424', '2424:2424', /published beyond loopback/],
    ['PUBLISH_ON:-127.0.0.1', 'PUBLISH_ON:-0.0.0.0', /published beyond loopback/],
    ['127.0.0.1:2424:2424', '127.0.0.1:2424:24', /nothing listens/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Compose writes it so
    ['MONGO_KEY: ${MONGO_KEY:?is to be set in .env}', 'MONGO_KEY: abc', /stands in the file/],
    ['MONGO_KEY:?is to be set in .env', 'MONGO_KEY:-abc', /is not required/],
    ['read_only: true', 'read_only: false', /may write its root/],
    ['/readyz]', '/ready]', /no health check/],
    ['stop_grace_period: 40s', 'stop_grace_period: 10s', /may be killed/],
    ['internal: true', 'internal: false', /reached from outside/],
    ['--replSet rs0', '--replSet rs1', /several names/],
    ['--jetstream', '--js', /without --jetstream/],
    ['volumes: [edge:/data]', 'volumes: [egde:/data]', /no volume egde/],
    ['volumes: [edge:/data]', 'volumes: [edge:/dat]', /is in no volume/],
    ['tmpfs: [/tmp]', 'tmpfs: [/run]', /no temporary folder/],
    ['@nats:4222', '@nats:4223', /told of another NATS/],
    ['@mongo:27017', '@mongod:27017', /told of another MongoDB/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Compose writes it so
    ['nats://mailmesh:${NATS_PASSWORD:?is to be set in .env}@', 'nats://mailmesh:secret@', /told of another NATS/],
    ['host: "mongo:27017"', 'host: "mongo:27018"', /is mongo:27017, not mongo:27018/],
    ['condition: service_healthy', 'condition: service_health', /does not know service_health/],
    ['service_completed_successfully', 'service_started', /starts before its stores/],
    ['interval: 10s', 'intervall: 10s', /does not know intervall/],
    ['stop_grace_period', 'stop_grace', /does not know stop_grace/],
    ['8222/healthz', '8223/healthz', /not asked for its health/],
    ['nats: { condition', 'nast: { condition', /waits for nast/],
    ['image: nats:2.12-alpine', 'image: nats', /no version/],
  ];
  const image = imageEnvironment(read('Dockerfile'));
  for (const [from, to, expected] of cases) {
    assert.ok(text.includes(from), from);
    assert.match(composeProblems(text.replaceAll(from, to), image).join('\n'), expected);
  }
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Compose writes it so
  assert.equal(interpolate('$${A} ${B:-b} ${C:?c}'), '${A} b given-C');
});

test('each rule for the image finds what it is there for', () => {
  const [dockerfile, dockerignore] = [read('Dockerfile'), read('.dockerignore')];
  const cases: [from: string, to: string, expected: RegExp][] = [
    ['FROM node:26', 'FROM node:25', /which package.json pins/],
    ['.mailmesh-lock-sha256', '.stamp', /would want to install/],
    ['USER 10001:10001\nRUN', 'USER 10002:10002\nRUN', /fills no compile cache/],
    ['--chown=10001:10001 /cache', '/cache', /does not give \/cache/],
    ['USER 10001:10001', 'USER root', /not a number above 0/],
    ['MAILMESH_BIND', 'MAILMESH_BINDS', /no option MAILMESH_BINDS/],
    [' 8080', ' 8081', /exposes 8081[\s\S]*|does not expose 8080/],
    ['FROM debian:trixie', 'FROM debian:bookworm', /of several systems/],
    ['--omit=dev ', '', /only development needs/],
    ['VOLUME /data', 'VOLUME /var', /is in no volume/],
    ['MAILMESH_DATA_DIR=/data/mailmesh', 'MAILMESH_DATA_DIR=/data', /is in no volume/],
    ['/readyz', '/ready', /health check asks nothing/],
    ['bin/mailmesh.mjs"', 'bin/mailmesh.js"', /there is no \/app\/bin\/mailmesh.js/],
  ];
  for (const [from, to, expected] of cases) {
    assert.ok(dockerfile.includes(from), from);
    assert.match(dockerfileProblems(root, dockerfile.replaceAll(from, to), dockerignore).join('\n'), expected);
  }
  for (const [from, to, expected] of [
    ['!mixins\n', '', /mixins is needed/],
    ['!models\n', '', /models is needed/],
    ['!bin\n', '!bin\n!secrets\n', /there is no secrets/],
    ['*\n', '', /no list of what goes in/],
  ] as const)
    assert.match(dockerfileProblems(root, dockerfile, dockerignore.replace(from, to)).join('\n'), expected);
});

test('a patch that does not fit is an error', () => {
  const target = { a: [1, 2], b: { 'c/d': 'x' } };
  applyPatch(target, [
    { op: 'add', path: '/a/-', value: 3 },
    { op: 'add', path: '/a/0', value: 0 },
    { op: 'replace', path: '/b/c~1d', value: 'y' },
    { op: 'remove', path: '/a/1' },
  ]);
  assert.deepEqual(target, { a: [0, 2, 3], b: { 'c/d': 'y' } });
  for (const operation of [
    { op: 'replace', path: '/c', value: 1 },
    { op: 'remove', path: '/a/7' },
    { op: 'add', path: '/a/9', value: 1 },
    { op: 'add', path: '/c/d', value: 1 },
    { op: 'test', path: '/a', value: 1 },
    { op: 'add', path: '/c' },
  ])
    assert.throws(() => applyPatch(structuredClone(target), [operation]), /patch \//, JSON.stringify(operation));
});

test('what the resolver does not know is an error', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-kustomize-'));
  const build = async (text: string): Promise<Manifest[]> => {
    await writeFile(join(folder, 'kustomization.yaml'), text);
    return buildKustomization(folder);
  };
  try {
    await assert.rejects(build('namePrefix: x-'), /namePrefix is not supported/);
    await assert.rejects(build('labels: [{ pairs: { a: b }, includeSelectors: true }]'), /includeSelectors/);
    await assert.rejects(build('patches: [{ target: { kind: X }, patch: "[]" }]'), /finds no X/);
    await assert.rejects(
      build('configMapGenerator: [{ name: a, behavior: merge, literals: [A=1] }]'),
      /no ConfigMap a/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the health check ends with what the server says', async () => {
  const server = createServer((req, res) => res.writeHead(req.url === '/readyz' ? 200 : 503).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const env = { ...process.env, MAILMESH_HTTP_PORT: String((server.address() as AddressInfo).port) };
  const ask = async (...args: string[]): Promise<number> => {
    const child = spawn(process.execPath, [join(root, 'bin/healthcheck.mjs'), ...args], { env, stdio: 'ignore' });
    const [code] = await once(child, 'exit');
    return code;
  };
  assert.deepEqual(await Promise.all([ask(), ask('/readyz'), ask('/healthz')]), [0, 0, 1]);
  server.closeAllConnections();
  await once(server.close(), 'close');
  assert.equal(await ask(), 1);
});
