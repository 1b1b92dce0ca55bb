/** OpenAPI 3.1 from the actions themselves: their routes, scopes and parameter schemas. Nothing is described twice. */

import type { ApiAction, ParamSchema } from '../api.ts';
import { SCHEMAS } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

/** One REST action: its name in the mesh and its definition. */
export interface RestAction {
  readonly name: string;
  readonly action: ApiAction;
}

interface Route {
  readonly method: string;
  /** In moleculer-web's notation: `/v1/accounts/:account`. */
  readonly path: string;
}

function routeOf({ action }: RestAction): Route {
  const [method, path] = action.api.rest!.split(' ') as [string, string];
  return { method, path };
}

/** fastest-validator's schema of one parameter as JSON Schema. */
function jsonSchema(rule: Readonly<Record<string, unknown>>): Json {
  const type = rule.nullable === true ? [jsonType(rule), 'null'] : jsonType(rule);
  switch (rule.type) {
    case 'enum':
      return { type: 'string', enum: rule.values };
    case 'array':
      return { type, items: jsonSchema(rule.items as Json), ...bounds(rule, 'minItems', 'maxItems') };
    case 'object':
      return { type, ...objectSchema(rule.props as ParamSchema) };
    case 'number':
      return { type, ...bounds(rule, 'minimum', 'maximum') };
    case 'string':
      return { type, ...bounds(rule, 'minLength', 'maxLength') };
    default:
      return { type };
  }
}

const jsonType = (rule: Readonly<Record<string, unknown>>): string =>
  rule.type === 'number' && rule.integer === true ? 'integer' : rule.type === 'enum' ? 'string' : String(rule.type);

const bounds = (rule: Readonly<Record<string, unknown>>, least: string, most: string): Json => ({
  ...(rule.min === undefined ? {} : { [least]: rule.min }),
  ...(rule.max === undefined ? {} : { [most]: rule.max }),
});

function objectSchema(params: ParamSchema): Json {
  const entries = Object.entries(params).filter(([name]) => !name.startsWith('$$'));
  return {
    properties: Object.fromEntries(entries.map(([name, rule]) => [name, jsonSchema(rule)])),
    required: entries.filter(([, rule]) => rule.optional !== true).map(([name]) => name),
    additionalProperties: false,
  };
}

function answerSchema({ action }: RestAction): Json {
  const item: Json = { $ref: `#/components/schemas/${action.api.answer ?? 'Done'}` };
  if (action.api.page !== true) return item;
  return {
    type: 'object',
    properties: { items: { type: 'array', items: item }, cursor: { type: ['string', 'null'] } },
    required: ['items', 'cursor'],
  };
}

function operation(rest: RestAction): Json {
  const { action } = rest;
  const { method, path } = routeOf(rest);
  const params = action.params as ParamSchema;
  const inPath = [...path.matchAll(/:(\w+)/g)].map((match) => match[1]!);
  const others = Object.entries(params).filter(([name]) => !name.startsWith('$$') && !inPath.includes(name));
  const hasBody = method === 'POST' || method === 'PATCH' || method === 'PUT';
  const parameter = (place: string, name: string): Json => ({
    name,
    in: place,
    required: place === 'path' || params[name]!.optional !== true,
    schema: jsonSchema(params[name]!),
  });
  return {
    operationId: rest.name,
    summary: action.api.summary,
    tags: [rest.name.split('.')[0]],
    security: [{ apiKey: [action.api.scope] }],
    parameters: [
      ...inPath.map((name) => parameter('path', name)),
      ...(hasBody ? [] : others.map(([name]) => parameter('query', name))),
      ...(action.api.creates === true ? [IDEMPOTENCY_KEY] : []),
    ],
    ...(hasBody && others.length > 0
      ? {
          requestBody: {
            required: true,
            content: json({ type: 'object', ...objectSchema(Object.fromEntries(others)) }),
          },
        }
      : {}),
    responses: {
      [action.api.creates === true ? '201' : '200']: { description: 'Done', content: json(answerSchema(rest)) },
      default: {
        description: 'What went wrong (RFC 9457)',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

const json = (schema: Json): Json => ({ 'application/json': { schema } });

const IDEMPOTENCY_KEY: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'The same key again within 24 hours gives the first answer and makes nothing new',
  schema: { type: 'string', maxLength: 200 },
};

/** Routes that carry a message's bytes, and those of operations: written by hand because no action answers them. */
const RAW: Json = {
  '/v1/accounts/{account}/mailboxes/{mailbox}/messages/{uid}/raw': {
    get: {
      operationId: 'message.raw',
      summary: 'The message byte for byte',
      tags: ['message'],
      security: [{ apiKey: ['read'] }],
      parameters: [
        { name: 'account', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'mailbox', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'uid', in: 'path', required: true, schema: { type: 'integer' } },
      ],
      responses: { '200': { description: 'The message', content: { 'message/rfc822': {} } } },
    },
  },
  '/v1/accounts/{account}/mailboxes/{mailbox}/messages/raw': {
    post: {
      operationId: 'message.put',
      summary: 'Put a message into a mailbox, byte for byte',
      tags: ['message'],
      security: [{ apiKey: ['admin'] }],
      parameters: [
        { name: 'account', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'mailbox', in: 'path', required: true, schema: { type: 'string' } },
        IDEMPOTENCY_KEY,
      ],
      requestBody: { required: true, content: { 'message/rfc822': {} } },
      responses: {
        '201': { description: 'Done', content: json({ $ref: '#/components/schemas/Appended' }) },
      },
    },
  },
};

const plain = (summary: string): Json => ({
  get: {
    summary,
    tags: ['operations'],
    security: [],
    responses: { '200': { description: 'Yes' }, '503': { description: 'Not now' } },
  },
});

export function openApi(actions: readonly RestAction[], version: string): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const rest of actions) {
    const { method, path } = routeOf(rest);
    const key = path.replace(/:(\w+)/g, '{$1}');
    paths[key] = { ...paths[key], [method.toLowerCase()]: operation(rest) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Mailmesh administration', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    paths: {
      ...paths,
      ...RAW,
      '/healthz': plain('The process is alive'),
      '/readyz': plain('A command to this node would not fail'),
      '/metrics': plain('Prometheus text format'),
    },
    components: {
      schemas: SCHEMAS,
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'A key of `mailmesh apikey create`' } },
    },
  };
}
