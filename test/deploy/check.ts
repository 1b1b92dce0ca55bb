/**
 * The part of `npm run check` that looks at Dockerfile, compose.yaml and k8s/, without a cluster and without Docker:
 * overlays are built, every object is held against the types of the Kubernetes API, and every name in all of them
 * against the program's. Prints the problems; the exit code is 0 when there are none.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeProblems } from './compose-rules.ts';
import { dockerfileProblems, imageEnvironment } from './dockerfile-rules.ts';
import { unknownNames } from './known-names.ts';
import { kubernetesProblems } from './kubernetes-rules.ts';
import { buildKustomization, OVERLAYS, overlayFolder } from './kustomize.ts';
import { typeErrors } from './object-types.ts';
import { adapterProblems, adapterRules } from './scaling-rules.ts';

export function deployProblems(root: string): string[] {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const page = read('docs/deployment.md');
  const adapter = adapterRules(read('k8s/prometheus-adapter.yaml'));
  const overlays = OVERLAYS.flatMap((name) => {
    const objects = buildKustomization(overlayFolder(root, name));
    return [...typeErrors(root, objects), ...kubernetesProblems(objects, page, adapter)].map(
      (problem) => `${name}: ${problem}`,
    );
  });
  const dockerfile = read('Dockerfile');
  return [
    ...unknownNames(page).map((name) => `docs/deployment.md: there is no option ${name}`),
    ...overlays,
    ...adapterProblems(adapter),
    ...composeProblems(read('compose.yaml'), imageEnvironment(dockerfile)),
    ...dockerfileProblems(root, dockerfile, read('.dockerignore')),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = deployProblems(join(import.meta.dirname, '..', '..'));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
