/**
 * Builds a kustomization the way `kustomize build` does, as far as k8s/ uses it: resources, labels, namespace, images,
 * configMapGenerator with merge and hashed names, and JSON patches. A field that it does not know is an error, so that
 * nothing is left out of what the checks see; a test compares its output with the real program's where there is one.
 */

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { applyPatch, type Json, type Operation } from './json-patch.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

interface Kustomization {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly labels?: readonly { readonly pairs: Record<string, string>; readonly includeTemplates?: boolean }[];
  readonly images?: readonly { readonly name: string; readonly newName?: string; readonly newTag?: string }[];
  readonly configMapGenerator?: readonly Generator[];
  readonly patches?: readonly { readonly target: { kind: string; name?: string }; readonly patch: string }[];
}

interface Generator {
  readonly name: string;
  readonly behavior?: 'create' | 'merge';
  readonly envs?: readonly string[];
  readonly literals?: readonly string[];
}

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  kustomization: ['apiVersion', 'kind', 'namespace', 'resources', 'labels', 'images', 'configMapGenerator', 'patches'],
  label: ['pairs', 'includeTemplates'],
  image: ['name', 'newName', 'newTag'],
  generator: ['name', 'behavior', 'envs', 'literals'],
  patch: ['target', 'patch'],
  target: ['kind', 'name'],
};
const CLUSTER_KINDS = new Set(['Namespace']);

function only(what: keyof typeof FIELDS, value: object, place: string): void {
  for (const field of Object.keys(value))
    if (!FIELDS[what]!.includes(field)) throw new Error(`${place}: ${what} field ${field} is not supported`);
}

/** The objects that applying the folder would bring into a cluster, with generated names in place. */
export function buildKustomization(folder: string): Manifest[] {
  const { objects, generated } = accumulate(folder);
  for (const map of generated) rename(objects, map, `${map.metadata.name}-${hashOf(map)}`);
  return objects;
}

interface Accumulated {
  readonly objects: Manifest[];
  /** ConfigMaps whose names get a hash once everything is built. */
  readonly generated: Manifest[];
}

function accumulate(folder: string): Accumulated {
  const place = join(folder, 'kustomization.yaml');
  const file = parse(readFileSync(place, 'utf8')) as Kustomization;
  only('kustomization', file, place);
  const objects: Manifest[] = [];
  const generated: Manifest[] = [];
  for (const resource of file.resources ?? []) {
    const path = join(folder, resource);
    if (statSync(path).isDirectory()) {
      const inner = accumulate(path);
      objects.push(...inner.objects);
      generated.push(...inner.generated);
    } else objects.push(...readManifests(path));
  }
  for (const generator of file.configMapGenerator ?? []) {
    only('generator', generator, place);
    generate(generator, folder, objects, generated);
  }
  for (const patch of file.patches ?? []) {
    only('patch', patch, place);
    only('target', patch.target, place);
    patchObjects(objects, patch.target, parse(patch.patch) as Operation[], place);
  }
  if (file.namespace !== undefined)
    for (const { kind, metadata } of objects) if (!CLUSTER_KINDS.has(kind)) metadata.namespace = file.namespace;
  for (const label of file.labels ?? []) {
    only('label', label, place);
    for (const object of objects) addLabels(object, label.pairs, label.includeTemplates === true);
  }
  for (const image of file.images ?? []) {
    only('image', image, place);
    for (const object of objects) setImage(object, image);
  }
  const names = objects.map((object) => `${object.kind} ${object.metadata.name}`);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`${place}: ${twice} is there twice`);
  return { objects, generated };
}

function readManifests(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]!.message}`);
    return document.toJS() as Manifest;
  });
}

/** `NAME=value` lines; `#` begins a comment line. */
const readEnv = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));

function generate(generator: Generator, folder: string, objects: Manifest[], generated: Manifest[]): void {
  const lines = [
    ...(generator.envs ?? []).flatMap((file) => readEnv(join(folder, file))),
    ...(generator.literals ?? []),
  ];
  const data = Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      if (at < 1) throw new Error(`${folder}: ${generator.name}: ${line} is not NAME=value`);
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const before = generated.find(({ metadata }) => metadata.name === generator.name);
  if (generator.behavior === 'merge') {
    if (before === undefined) throw new Error(`${folder}: there is no ConfigMap ${generator.name} to merge with`);
    Object.assign(before.data as object, data);
    return;
  }
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: generator.name }, data };
  generated.push(map);
  objects.push(map);
}

function patchObjects(
  objects: readonly Manifest[],
  target: { kind: string; name?: string },
  operations: readonly Operation[],
  place: string,
): void {
  const chosen = objects.filter(
    ({ kind, metadata }) => kind === target.kind && (target.name === undefined || metadata.name === target.name),
  );
  if (chosen.length === 0)
    throw new Error(`${place}: a patch finds no ${target.kind}${target.name === undefined ? '' : ` ${target.name}`}`);
  // Each gets values of its own.
  for (const object of chosen) applyPatch(object as unknown as Json, structuredClone(operations));
}

interface Labelled {
  metadata?: { labels?: Record<string, string> };
}
interface PodTemplate extends Labelled {
  readonly spec: PodSpec;
}
export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly [field: string]: unknown;
}
export interface Container {
  readonly name: string;
  image: string;
  readonly [field: string]: unknown;
}

/** The template of the pods that an object makes; undefined when it makes none. */
export const templateOf = (object: Manifest): PodTemplate | undefined =>
  (object.spec as { readonly template?: PodTemplate } | undefined)?.template;

function addLabels(object: Manifest, pairs: Readonly<Record<string, string>>, templates: boolean): void {
  object.metadata.labels = { ...object.metadata.labels, ...pairs };
  if (!templates) return;
  const { template, volumeClaimTemplates = [] } = (object.spec ?? {}) as {
    readonly template?: PodTemplate;
    readonly volumeClaimTemplates?: readonly Labelled[];
  };
  for (const made of [template, ...volumeClaimTemplates])
    if (made !== undefined) made.metadata = { ...made.metadata, labels: { ...made.metadata?.labels, ...pairs } };
}

export const containersOf = (spec: PodSpec): readonly Container[] => [
  ...(spec.initContainers ?? []),
  ...spec.containers,
];

function setImage(object: Manifest, image: { name: string; newName?: string; newTag?: string }): void {
  const template = templateOf(object);
  if (template === undefined) return;
  for (const container of containersOf(template.spec)) {
    const [name, tag] = container.image.split(':');
    if (name !== image.name) continue;
    const newTag = image.newTag ?? tag;
    container.image = (image.newName ?? name) + (newTag === undefined ? '' : `:${newTag}`);
  }
}

const sorted = (map: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What a name ends in, so that changed options are another ConfigMap and the pods roll over to it. */
function hashOf(map: Manifest): string {
  // kustomize leaves the name out of what it hashes.
  const text = JSON.stringify({ data: sorted(map.data as Record<string, string>), kind: 'ConfigMap', name: '' });
  const escaped = text.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026');
  const hex = createHash('sha256').update(escaped).digest('hex').slice(0, 10);
  // No vowels, so that no words come about.
  const letters: Readonly<Record<string, string>> = { 0: 'g', 1: 'h', 3: 'k', a: 'm', e: 't' };
  return hex.replace(/[013ae]/g, (digit) => letters[digit]!);
}

function rename(objects: readonly Manifest[], map: Manifest, name: string): void {
  const old = map.metadata.name;
  for (const object of objects) {
    const template = templateOf(object);
    if (template !== undefined) renameReferences(template.spec, old, name);
  }
  map.metadata.name = name;
}

/** Wherever a pod names a ConfigMap: envFrom, env and volumes. */
function renameReferences(value: unknown, old: string, name: string): void {
  if (Array.isArray(value)) for (const item of value) renameReferences(item, old, name);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  for (const [field, inner] of Object.entries(value)) {
    if (['configMapRef', 'configMapKeyRef', 'configMap'].includes(field) && (inner as { name: string }).name === old)
      (inner as { name: string }).name = name;
    else renameReferences(inner, old, name);
  }
}

/** The folders that can be applied, by name. */
export const OVERLAYS = ['small', 'large'] as const;

export const overlayFolder = (root: string, name: string): string => join(root, 'k8s', 'overlays', basename(name));
