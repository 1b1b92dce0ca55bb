/** What this node says of itself to whoever asks for the nodes of the mesh. */

import { hostname } from 'node:os';
import type { ServiceBroker } from 'moleculer';
import { contextOf } from './context.ts';
import type { NodeStatus } from './contracts.ts';

/** Measures the share of one processor between two questions. */
export class CpuMeter {
  #usage = process.cpuUsage();
  #at = performance.now();

  share(): number {
    const usage = process.cpuUsage(this.#usage);
    const ms = performance.now() - this.#at;
    this.#usage = process.cpuUsage();
    this.#at = performance.now();
    return ms < 1 ? 0 : Math.round((usage.user + usage.system) / ms / 10) / 100;
  }
}

export async function nodeStatus(broker: ServiceBroker, cpu: CpuMeter): Promise<NodeStatus> {
  const { version, services, readiness, metrics, stores } = contextOf(broker);
  await readiness.refresh();
  const connections = (await metrics.connections.get()).values.reduce((sum, { value }) => sum + value, 0);
  const leases = (await metrics.leases.get()).values[0]?.value ?? 0;
  const model = (await metrics.modelVersion.get()).values[0]?.value ?? 0;
  return {
    id: broker.nodeID,
    host: hostname(),
    version,
    services,
    state: readiness.isDraining ? 'draining' : readiness.ready ? 'ready' : 'not ready',
    waitingFor: readiness.waitingFor,
    upMs: Math.round(process.uptime() * 1000),
    cpu: cpu.share(),
    memoryBytes: process.memoryUsage.rss(),
    connections,
    leases,
    model,
    format: stores.mesh?.format() ?? null,
    trouble: stores.mesh?.trouble() ?? null,
  };
}
