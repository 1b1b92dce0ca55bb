/**
 * What Dockerfile and .dockerignore must keep: the image runs the Node that the tests ran on, as nobody in particular,
 * holds every file that the program loads, and names nothing that the program does not have.
 */

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { configOf, isPath, portsOf, unknownNames } from './known-names.ts';

interface Instruction {
  readonly name: string;
  readonly words: readonly string[];
  readonly text: string;
}

function parseDockerfile(text: string): Instruction[] {
  return text
    .replace(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [name, ...words] = line.trim().split(/\s+/);
      return { name: name!.toUpperCase(), words, text: words.join(' ') };
    });
}

/** The variables that the image sets. */
export function imageEnvironment(dockerfile: string): Record<string, string> {
  return Object.fromEntries(
    lastStage(parseDockerfile(dockerfile))
      .filter(({ name }) => name === 'ENV')
      .flatMap(({ words }) =>
        words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
      ),
  );
}

const lastStage = (instructions: readonly Instruction[]): readonly Instruction[] =>
  instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'));

export function dockerfileProblems(root: string, dockerfile: string, dockerignore: string): string[] {
  const problems = unknownNames(dockerfile).map((name) => `Dockerfile: there is no option ${name}`);
  const tell = (problem: string): unknown => problems.push(`Dockerfile: ${problem}`);
  const instructions = parseDockerfile(dockerfile);
  checkNode(root, instructions, tell);
  checkCache(instructions, imageEnvironment(dockerfile), tell);
  checkImage(root, lastStage(instructions), imageEnvironment(dockerfile), tell);
  problems.push(...contextProblems(root, dockerignore));
  return problems;
}

type Tell = (problem: string) => unknown;

function checkNode(root: string, instructions: readonly Instruction[], tell: Tell): void {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  const [base] = instructions.find(({ name }) => name === 'FROM')?.words ?? [];
  for (const version of new Set(Object.values(optionalDependencies)))
    if (base?.startsWith(`node:${version}-`) !== true) tell(`${base} is not Node ${version}, which package.json pins`);
  // The library that comes with Node is copied from one to the other.
  const suites = instructions
    .filter(({ name }) => name === 'FROM')
    .map(({ words }) => words[0]?.match(/[a-z]+-slim$/)?.[0]);
  if (new Set(suites).size !== 1) tell(`its stages are of several systems: ${suites.join(', ')}`);
  if (!instructions.some(({ text }) => /npm ci .*--omit=dev/.test(text))) tell('takes in what only development needs');
  const stamp = /const STAMP = '([^']+)'/.exec(readFileSync(join(root, 'bin/install.mjs'), 'utf8'))?.[1];
  if (!instructions.some(({ text }) => text.includes(`> node_modules/${stamp}`)))
    tell(`does not write ${stamp}, so a start would want to install`);
}

/** Node finds a compile cache only where it was filled, and only by the user who filled it. */
function checkCache(
  instructions: readonly Instruction[],
  { NODE_COMPILE_CACHE: cache }: Readonly<Record<string, string>>,
  tell: Tell,
): void {
  const warming = instructions.findIndex(({ text }) => text.includes(`NODE_COMPILE_CACHE=${cache} node `));
  const user = instructions.slice(0, Math.max(warming, 0)).findLast(({ name }) => name === 'USER')?.text;
  const runner = lastStage(instructions).find(({ name }) => name === 'USER')?.text;
  if (user === undefined || user !== runner) tell(`fills no compile cache in ${cache} as user ${runner}`);
  if (!instructions.some(({ text }) => text.includes(`--chown=${runner} ${cache} ${cache}`)))
    tell(`does not give ${cache} to user ${runner}`);
}

function checkImage(
  root: string,
  stage: readonly Instruction[],
  environment: Readonly<Record<string, string>>,
  tell: Tell,
): void {
  const of = (wanted: string): Instruction | undefined => stage.find(({ name }) => name === wanted);
  if (!/^[1-9]\d*:[1-9]\d*$/.test(of('USER')?.text ?? '')) tell('the user is not a number above 0');
  const config = configOf(environment);
  if (typeof config === 'string') return void tell(config);
  const exposed = of('EXPOSE')?.words.map(Number) ?? [];
  const ports = [...portsOf(config).values()];
  for (const port of ports) if (!exposed.includes(port)) tell(`does not expose ${port}`);
  for (const port of exposed) if (!ports.includes(port)) tell(`exposes ${port}, where nothing listens`);
  // A folder that is mounted there may belong to root, and the data folder is to be the node's own.
  if (of('VOLUME')?.text !== posix.dirname(config.dataDir)) tell(`${config.dataDir} is in no volume`);
  const health = JSON.parse(/\[.*\]/.exec(of('HEALTHCHECK')?.text ?? '')?.[0] ?? '[]') as string[];
  const entry = JSON.parse(of('ENTRYPOINT')?.text ?? '[]') as string[];
  if (health[0] !== 'node' || !isPath(health[2] ?? '')) tell(`the health check asks nothing that is there: ${health}`);
  for (const file of [health[1], entry[1]])
    if (!existsSync(join(root, (file ?? '').replace(/^\/app\//, '')))) tell(`there is no ${file}`);
}

/** The build sees only what .dockerignore lets in, and that is all that the program loads. */
function contextProblems(root: string, dockerignore: string): string[] {
  const [first, ...lines] = dockerignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (first !== '*' || lines.some((line) => !line.startsWith('!')))
    return ['.dockerignore: is no list of what goes in'];
  const allowed = new Set(lines.map((line) => line.slice(1)));
  const problems = [...allowed]
    .filter((path) => !existsSync(join(root, path)))
    .map((path) => `.dockerignore: there is no ${path}`);
  const needed = new Set(['package.json', 'package-lock.json', '.npmrc', 'models']);
  const files = globSync(
    [...allowed].map((path) => (path.includes('.') ? path : `${path}/**/*.{ts,mjs}`)),
    { cwd: root },
  );
  for (const file of files)
    for (const [, path] of readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+)'/g))
      needed.add(posix.join(posix.dirname(file), path!).split('/')[0]!);
  for (const path of needed)
    if (!allowed.has(path)) problems.push(`.dockerignore: ${path} is needed and stays outside`);
  return problems;
}
