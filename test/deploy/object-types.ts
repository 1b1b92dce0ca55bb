/**
 * Validates objects against the types of the Kubernetes API, by the compiler: each object becomes a constant of its
 * kind's type in a module that exists in memory only. So a field that the API does not have, a missing one and a value
 * of another type are all found, at any depth.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Manifest } from './kustomize.ts';

/** `networking.k8s.io/v1` is networking/v1, `v1` is core/v1. */
function moduleOf(apiVersion: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return `kubernetes-types/${group!.split('.')[0]}/${version}`;
}

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
  lib: ['lib.es2022.d.ts'],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
};

/** What is wrong with the objects, each with its place; empty when all fit. */
export function typeErrors(root: string, objects: readonly Manifest[]): string[] {
  const known = objects.filter(({ apiVersion }) =>
    existsSync(join(root, 'node_modules', `${moduleOf(apiVersion)}.d.ts`)),
  );
  const errors = objects
    .filter((object) => !known.includes(object))
    .map(({ apiVersion, kind, metadata }) => `${kind} ${metadata.name}: no types for ${apiVersion}`);
  const source = known
    .map((object, i) => {
      const type = `import('${moduleOf(object.apiVersion)}').${object.kind}`;
      return `export const object${i}: ${type} = ${JSON.stringify(object)};`;
    })
    .join('\n');
  const path = join(root, 'kubernetes-objects.ts');
  const program = programOf(path, source);
  for (const { file, start = 0, messageText } of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(messageText, ' ');
    if (file?.fileName !== path) errors.push(text);
    else {
      const { kind, metadata } = known[file.getLineAndCharacterOfPosition(start).line]!;
      errors.push(`${kind} ${metadata.name}${placeOf(file, start)}: ${text}`);
    }
  }
  return errors;
}

function programOf(path: string, source: string): ts.Program {
  const host = ts.createCompilerHost(OPTIONS);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => name === path || fileExists(name);
  host.readFile = (name) => (name === path ? source : readFile(name));
  host.getSourceFile = (name, languageVersion) =>
    name === path ? ts.createSourceFile(name, source, languageVersion, true) : getSourceFile(name, languageVersion);
  return ts.createProgram([path], OPTIONS, host);
}

/** Fields and list positions down to a position in the module: `.spec.ports[0].name`. */
function placeOf(file: ts.SourceFile, position: number): string {
  let place = '';
  const descend = (node: ts.Node): void => {
    if (position < node.getStart(file) || position >= node.end) return;
    if (ts.isPropertyAssignment(node)) place += `.${(node.name as ts.StringLiteral).text}`;
    if (ts.isArrayLiteralExpression(node)) {
      const index = node.elements.findIndex((element) => position >= element.pos && position < element.end);
      if (index >= 0) place += `[${index}]`;
    }
    ts.forEachChild(node, descend);
  };
  descend(file);
  return place;
}
