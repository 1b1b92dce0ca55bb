/** The actions of this broker that the gateway offers: those that were written with `api` and have a route. */

import type { ServiceBroker } from 'moleculer';
import type { ApiAction } from '../api.ts';
import type { RestAction } from './openapi.ts';

export function restActions(broker: ServiceBroker): readonly RestAction[] {
  const found: RestAction[] = [];
  for (const service of broker.services) {
    for (const [short, action] of Object.entries(service.schema.actions ?? {})) {
      const { api } = action as Partial<ApiAction>;
      if (api?.rest !== undefined) found.push({ name: `${service.name}.${short}`, action: action as ApiAction });
    }
  }
  return found;
}
