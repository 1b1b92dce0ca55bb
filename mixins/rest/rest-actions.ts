/** The actions that the gateway offers: those that were written with `api` and have a route, on whatever node they run. */

import type { ServiceBroker } from 'moleculer';
import type { ApiAction } from '../api.ts';
import { contextOf } from '../context.ts';
import type { RestAction } from './openapi.ts';

export function restActions(broker: ServiceBroker): readonly RestAction[] {
  const found: RestAction[] = [];
  for (const { name, actions } of contextOf(broker).api) {
    for (const [short, action] of Object.entries(actions ?? {})) {
      const { api } = action as Partial<ApiAction>;
      if (api?.rest !== undefined) found.push({ name: `${name}.${short}`, action: action as ApiAction });
    }
  }
  return found;
}
