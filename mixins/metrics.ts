/** The process's metrics (Prometheus text format). One registry per node; names and help stand here and nowhere else. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  // The event loop is looked at so often (milliseconds), also at rest: each look wakes the process.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return {
    registry,
    accepted: new Counter({
      name: 'mailmesh_messages_accepted_total',
      help: 'Messages answered 250, by protocol.',
      labelNames: ['protocol'],
      registers,
    }),
    refused: new Counter({
      name: 'mailmesh_messages_refused_total',
      help: 'Recipients and messages refused, by protocol and reply.',
      labelNames: ['protocol', 'reply'],
      registers,
    }),
    delivered: new Counter({
      name: 'mailmesh_deliveries_total',
      help: 'Copies put into mailboxes, by role of the mailbox.',
      labelNames: ['role'],
      registers,
    }),
    deliveryLatency: new Histogram({
      name: 'mailmesh_delivery_seconds',
      help: 'From acceptance to the copy being in its mailbox.',
      buckets: SECONDS,
      registers,
    }),
    stageLatency: new Histogram({
      name: 'mailmesh_stage_seconds',
      help: 'One run of a stage on one message, by stage and outcome.',
      labelNames: ['stage', 'outcome'],
      buckets: SECONDS,
      registers,
    }),
    meshEvents: new Counter({
      name: 'mailmesh_mesh_events_total',
      help: 'What was told of the servers of a mesh, by event (nats.trouble, mesh.split, queue.message-dropped, …).',
      labelNames: ['event'],
      registers,
    }),
    connections: new Gauge({
      name: 'mailmesh_connections',
      help: 'Open connections, by listener.',
      labelNames: ['listener'],
      registers,
    }),
    connectionsTotal: new Counter({
      name: 'mailmesh_connections_total',
      help: 'Connections by listener and what became of them (accepted, limited).',
      labelNames: ['listener', 'outcome'],
      registers,
    }),
    logins: new Counter({
      name: 'mailmesh_logins_total',
      help: 'Authentication attempts, by protocol and outcome.',
      labelNames: ['protocol', 'outcome'],
      registers,
    }),
    faults: new Counter({
      name: 'mailmesh_faults_total',
      help: 'Errors that are bugs of ours, by room.',
      labelNames: ['room'],
      registers,
    }),
    commits: new Counter({
      name: 'mailmesh_mailbox_commits_total',
      help: 'Commits of mailbox actors, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    queueJobs: new Gauge({
      name: 'mailmesh_queue_jobs',
      help: 'Jobs of unfinished messages, by stage and state.',
      labelNames: ['stage', 'state'],
      registers,
    }),
    queueOldest: new Gauge({
      name: 'mailmesh_queue_oldest_seconds',
      help: 'Age of the oldest open job, by stage.',
      labelNames: ['stage'],
      registers,
    }),
    storeSize: new Gauge({
      name: 'mailmesh_store_bytes',
      help: 'Bytes on the disk, by store.',
      labelNames: ['store'],
      registers,
    }),
    storeItems: new Gauge({
      name: 'mailmesh_store_items',
      help: 'Entries, by store and kind.',
      labelNames: ['store', 'kind'],
      registers,
    }),
    labels: new Counter({
      name: 'mailmesh_labels_total',
      help: 'Labels that users gave, by label and source.',
      labelNames: ['label', 'source'],
      registers,
    }),
    modelVersion: new Gauge({
      name: 'mailmesh_model_version',
      help: 'Version of the model that this node scores with; 0 for none.',
      registers,
    }),
    leases: new Gauge({
      name: 'mailmesh_leases',
      help: 'Accounts that this node holds the lease of: those that it has written in the last seconds.',
      registers,
    }),
    packetsDropped: new Counter({
      name: 'mailmesh_packets_dropped_total',
      help: 'Messages of the mesh that were not ours, or not fit to be read.',
      registers,
    }),
    ready: new Gauge({
      name: 'mailmesh_ready',
      help: '1 when a command to this node would not fail.',
      registers,
    }),
  };
}
