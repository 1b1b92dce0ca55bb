/** JSON Schemas of the API's answers, for openapi.json. A test compares real answers with them. */

type Schema = Readonly<Record<string, unknown>>;

const string: Schema = { type: 'string' };
const integer: Schema = { type: 'integer' };
const boolean: Schema = { type: 'boolean' };
const nullable = (type: string): Schema => ({ type: [type, 'null'] });
const list = (items: Schema): Schema => ({ type: 'array', items });
const any: Schema = { type: 'object', additionalProperties: true };
/** Every property is required unless its name ends in `?`. */
function object(properties: Readonly<Record<string, Schema>>): Schema {
  const entries = Object.entries(properties);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, schema]) => [name.replace(/\?$/, ''), schema])),
    required: entries.map(([name]) => name).filter((name) => !name.endsWith('?')),
  };
}
const milliseconds: Schema = { type: 'integer', description: 'milliseconds since 1970' };

const summary = {
  mailbox: string,
  uid: integer,
  flags: list(string),
  sizeBytes: integer,
  receivedAt: milliseconds,
  subject: string,
  from: string,
  messageId: string,
  queueId: string,
};
const apiKey = { id: string, name: string, scope: string, createdAt: milliseconds, revoked: boolean };
const model = {
  id: string,
  version: integer,
  state: string,
  parent: nullable('string'),
  schema: integer,
  trainedTo: integer,
  createdAt: milliseconds,
  sizeBytes: integer,
  metrics: any,
  reason: string,
};

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Account: object({
    id: string,
    address: string,
    enabled: boolean,
    quotaBytes: nullable('integer'),
    quotaMessages: nullable('integer'),
    createdAt: milliseconds,
    rev: integer,
    spam: object({ allow: list(string), block: list(string) }),
    usage: { type: ['object', 'null'], additionalProperties: true },
  }),
  Domain: object({ name: string, catchAll: nullable('string'), createdAt: milliseconds }),
  Alias: object({ address: string, accounts: list(string), createdAt: milliseconds }),
  ApiKey: object(apiKey),
  NewApiKey: object({ ...apiKey, secret: string }),
  Mailbox: object({
    id: string,
    name: string,
    role: nullable('string'),
    uidValidity: integer,
    uidNext: integer,
    modSeq: integer,
    total: integer,
    unseen: integer,
    deleted: integer,
    bytes: integer,
    recentUid: integer,
  }),
  MessageSummary: object(summary),
  Message: object({
    ...summary,
    to: string,
    cc: string,
    date: nullable('string'),
    text: string,
    html: nullable('string'),
    headers: list(object({ name: string, value: string })),
    attachments: list(
      object({ filename: nullable('string'), contentType: string, sizeBytes: integer, sha256: string }),
    ),
  }),
  Appended: object({ mailbox: string, uid: integer, duplicate: boolean }),
  MessageRecord: object({
    queueId: string,
    state: string,
    accepted: { type: ['object', 'null'], additionalProperties: true },
    refused: { type: ['object', 'null'], additionalProperties: true },
    jobs: list(any),
    verdicts: any,
    deliveries: list(any),
    finishedAt: nullable('integer'),
  }),
  QueueDepth: list(
    object({
      stage: string,
      blocked: integer,
      ready: integer,
      running: integer,
      waiting: integer,
      dead: integer,
      oldestMs: integer,
    }),
  ),
  Model: object(model),
  ModelHistory: object({ ...model, events: list(any) }),
  Retrained: object({ model: { type: ['object', 'null'], additionalProperties: true }, outcome: string }),
  Label: object({
    seq: integer,
    key: string,
    account: string,
    sample: string,
    label: string,
    source: string,
    sender: string,
    previous: string,
    score: nullable('number'),
    model: string,
    schema: integer,
    weight: { type: 'number' },
    at: milliseconds,
  }),
  Node: object({
    id: string,
    host: string,
    version: string,
    services: list(string),
    state: string,
    waitingFor: list(string),
    upMs: integer,
    cpu: nullable('number'),
    memoryBytes: nullable('integer'),
    connections: nullable('integer'),
    leases: nullable('integer'),
    model: nullable('integer'),
    format: nullable('integer'),
    trouble: nullable('string'),
  }),
  Report: any,
  Done: any,
  Problem: object({ type: string, title: string, status: integer, 'detail?': string }),
};
