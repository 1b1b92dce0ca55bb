/**
 * How much the broker's registry may come to know. It forgets a node ten minutes after that fell silent and the names of
 * actions and events never, so nodes that are made up would fill it.
 */

import type { ServiceBroker } from 'moleculer';

const NODES_MAX = 4_096;
/** Of actions, and of events. */
const NAMES_MAX = 2_000;

interface Service {
  readonly actions?: Readonly<Record<string, { readonly name: string }>> | null;
  readonly events?: Readonly<Record<string, { readonly name: string }>> | null;
}

/** What an INFO packet says, once it has its form. */
export interface NodeInfo {
  readonly sender: string;
  readonly services: readonly Service[];
}

/** Parts of the registry that its types leave out. */
interface Registry {
  readonly nodes: {
    has(id: string): boolean;
    count(): number;
    delete(id: string): boolean;
    toArray(): readonly { readonly id: string; readonly available: boolean; readonly offlineSince: number | null }[];
  };
  readonly actions: { readonly actions: ReadonlyMap<string, unknown> };
  readonly events: { readonly events: readonly { readonly name: string }[] };
}

/** Whether there is room for what a node says of itself; nodes that are gone make room, the longest gone first. */
export function hasRoom(broker: ServiceBroker, { sender, services }: NodeInfo): boolean {
  const { nodes, actions, events } = broker.registry as unknown as Registry;
  const names = (kind: 'actions' | 'events'): string[] =>
    services.flatMap((service) => Object.values(service[kind] ?? {}).map(({ name }) => name));
  if (isCrowded(actions.actions, names('actions'))) return false;
  if (isCrowded(new Set(events.events.map(({ name }) => name)), names('events'))) return false;
  if (nodes.has(sender) || nodes.count() < NODES_MAX) return true;
  const gone = nodes.toArray().filter(({ available }) => !available);
  gone.sort((a, b) => (a.offlineSince ?? 0) - (b.offlineSince ?? 0));
  return gone[0] !== undefined && nodes.delete(gone[0].id);
}

function isCrowded(known: { has(name: string): boolean; readonly size: number }, names: readonly string[]): boolean {
  const fresh = new Set(names.filter((name) => !known.has(name)));
  return fresh.size > 0 && known.size + fresh.size > NAMES_MAX;
}
