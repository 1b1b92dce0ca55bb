/** Every node runs it: tells what the node is and does. */

import type { ServiceSchema } from 'moleculer';
import { CpuMeter, nodeStatus } from '../mixins/node-status.ts';

export const service: ServiceSchema = {
  name: 'node',
  actions: {
    status: {
      visibility: 'public',
      handler() {
        return nodeStatus(this.broker, this.cpu as CpuMeter);
      },
    },
  },
  created() {
    this.cpu = new CpuMeter();
  },
};
