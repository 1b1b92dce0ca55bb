/**
 * k8s/base/options.env, written from the schema: what a Kubernetes ConfigMap gives to every node alike. Secrets and what
 * differs from node to node are never in it, so that nobody puts them into a ConfigMap by filling in a line.
 */

import { formatValue, type Value } from '../core/config/option.ts';
import { OPTIONS } from '../core/config/schema.ts';

/** Set by each Deployment, or not at all. */
const OF_ONE_NODE: ReadonlySet<string> = new Set(['config', 'nodeId', 'role', 'services', 'tlsCert', 'tlsKey']);
/**
 * What a container needs otherwise than a machine. A mounted folder may belong to root, who shares it with the node's
 * group: the data folder is one that the node makes inside of it, and has for itself.
 */
const IN_A_CONTAINER: Readonly<Record<string, Value>> = { bind: '0.0.0.0', dataDir: '/data/mailmesh' };

export function optionsEnv(): string {
  const lines = [
    '# Generated from core/config/schema.ts by `npm run generate`; overlays set their own values over these.',
  ];
  let group = '';
  for (const option of OPTIONS) {
    if (option.secret || OF_ONE_NODE.has(option.name)) continue;
    if (option.group !== group) lines.push('', `# ${option.group}`);
    group = option.group;
    lines.push(`${option.env}=${formatValue(option, IN_A_CONTAINER[option.name] ?? option.default)}`);
  }
  return `${lines.join('\n')}\n`;
}
