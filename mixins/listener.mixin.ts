/** The life cycle of a service that listens: sockets open last, after all services are up, and close first. */

import type { ServiceBroker, ServiceSchema } from 'moleculer';
import { contextOf, type NodeContext } from './context.ts';
import { Listener, type ListenerOptions } from './listener.ts';

/** `name` and `port` of a socket; a port of null switches it off. */
export type ListenerSpec = Omit<ListenerOptions, 'port'> & { readonly port: number | null };

/** A mixin that opens what `listeners` gives for this node. */
export function listenerMixin(
  listeners: (context: NodeContext, broker: ServiceBroker) => readonly ListenerSpec[],
): Partial<ServiceSchema> {
  return {
    async started() {
      const context = contextOf(this.broker);
      const specs = listeners(context, this.broker).filter((spec): spec is ListenerOptions => spec.port !== null);
      for (const spec of specs) context.readiness.expect(`listener ${spec.name}`);
      const open = specs.map((spec) => new Listener(context, spec));
      this.open = open;
      await context.doorsOpen;
      await Promise.all(open.map((listener) => listener.listen()));
    },
    async stopped() {
      await this.quiesce();
    },
    methods: {
      /** No new connections; resolves when the last one has ended. */
      quiesce(): Promise<unknown> {
        const { config } = contextOf(this.broker);
        this.quiet ??= Promise.all(
          ((this.open ?? []) as readonly Listener[]).map((listener) => listener.drain(config.drainTimeoutMs)),
        );
        return this.quiet as Promise<unknown>;
      },
    },
  };
}
