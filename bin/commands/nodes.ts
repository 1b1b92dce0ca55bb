/** `mailmesh nodes`: the nodes of the mesh, as they see each other. */

import type { NodeStatus } from '../../mixins/contracts.ts';
import { allPages, type Command } from '../command.ts';
import { formatSize, formatSpan } from '../format.ts';
import { type Cell, table } from '../table.ts';

const TITLES = [
  'node',
  'state',
  'version',
  'up',
  'cpu',
  'memory',
  'connections',
  'leases',
  'model',
  'format',
  'services',
];
const SERVICES_WIDTH = 300;

function row(node: NodeStatus): readonly Cell[] {
  const why = node.state === 'not ready' ? `: ${node.waitingFor.join(', ')}` : '';
  const mark = node.trouble === null ? '' : ' *';
  return [
    node.id,
    `${node.state}${why}${mark}`,
    node.version,
    node.upMs === 0 ? null : formatSpan(node.upMs),
    node.cpu === null ? null : `${Math.round(node.cpu * 100)} %`,
    node.memoryBytes === null ? null : formatSize(node.memoryBytes),
    node.connections,
    node.leases,
    node.model,
    node.format,
    node.services.join(' '),
  ];
}

/** What is wrong is told below the table, by node. */
function human(nodes: readonly NodeStatus[]): string {
  const troubles = nodes.flatMap(({ id, trouble }) => (trouble === null ? [] : [`* ${id}: ${trouble}`]));
  return [table(TITLES, nodes.map(row), SERVICES_WIDTH), ...troubles].join('\n');
}

export const command: Command = {
  name: 'nodes',
  summary: 'The nodes of the mesh.',
  verbs: [
    {
      name: '',
      args: [],
      summary: 'Lists the nodes: what they run, in which version, how busy they are, and how many accounts they write.',
      notes: [
        'Exit code 1 when a node is not ready or does not answer. One machine is a mesh of one node. A star marks a node that has trouble with the servers of the mesh, which is told below.',
      ],
      examples: ['mailmesh nodes', 'mailmesh nodes --json'],
      async run(context) {
        const client = await context.client();
        const nodes = await allPages((page) => client.call('nodes.list', page));
        context.show(nodes, () => (nodes.length === 0 ? 'No node runs.' : human(nodes)));
        return nodes.every(({ state }) => state === 'ready') ? 0 : 1;
      },
    },
  ],
};
