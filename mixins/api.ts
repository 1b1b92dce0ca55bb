/**
 * How an action is written that the REST gateway offers: its route, the scope of key that it asks for, one line of
 * description, its parameters as a fastest-validator schema and an example answer's schema; openapi.json is made of these.
 */

import type { ActionSchema, Context } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import type { ApiScope } from '../core/ports/directory.ts';
import { contextOf, type NodeContext } from './context.ts';
import type { ActionName, Page, PageRequest, Params, Result } from './contracts.ts';

/** fastest-validator's schema, as far as we use it. */
export type ParamSchema = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface RestMeta {
  /** Its name in the contracts; set by `api`. */
  readonly action?: ActionName;
  /** For example `GET /v1/accounts/:account`. */
  readonly rest?: string;
  readonly scope: ApiScope;
  readonly summary: string;
  /** Name of the answer's schema in mixins/rest/schemas.ts, and whether it is a page of them. */
  readonly answer?: string;
  readonly page?: boolean;
  /** 201 for what makes something; such calls take an Idempotency-Key. */
  readonly creates?: boolean;
  /** The answer holds a secret: it is not kept for repeated requests. */
  readonly secret?: boolean;
  /** Takes as long as it takes. */
  readonly long?: boolean;
}

type Body<A extends ActionName> = (params: Params<A>, context: NodeContext, ctx: Context) => Promise<Result<A>>;

export type ApiAction = ActionSchema & { readonly api: RestMeta };

/** An action of the REST API. */
export function api<A extends ActionName>(name: A, meta: RestMeta, params: ParamSchema, body: Body<A>): ApiAction {
  return {
    api: { ...meta, action: name },
    // Unknown names are mistakes of the caller and said so.
    params: { $$strict: true, ...params },
    visibility: 'published',
    handler: (ctx: Context<Params<A>>) => body(ctx.params, contextOf(ctx.broker), ctx as unknown as Context),
  } as ApiAction;
}

export const text = (more: Record<string, unknown> = {}) => ({ type: 'string', min: 1, max: 1000, ...more });
export const optional = (schema: Record<string, unknown>) => ({ ...schema, optional: true });
export const size = { type: 'number', integer: true, min: 0, max: Number.MAX_SAFE_INTEGER, convert: true };

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export const PAGE: ParamSchema = {
  cursor: optional(text()),
  limit: optional({ type: 'number', integer: true, min: 1, max: LIMIT_MAX, convert: true }),
};

export const limitOf = ({ limit }: PageRequest): number => limit ?? LIMIT_DEFAULT;

/** A cursor that is a number: `none` where a listing begins. Rejects what is no cursor of ours. */
export function numberCursor({ cursor }: PageRequest, none: number): number {
  if (cursor === undefined) return none;
  if (!/^\d{1,15}$/.test(cursor)) throw new ClientError('invalid', { what: 'cursor' });
  return Number(cursor);
}

/** A page of a list that is at hand whole: the cursor is the key of its last entry. */
export function pageOf<T>(all: readonly T[], key: (item: T) => string, request: PageRequest): Page<T> {
  const start = request.cursor === undefined ? 0 : all.findIndex((item) => key(item) === request.cursor) + 1;
  return pageFrom(all.slice(start, start + limitOf(request) + 1), key, request);
}

/** A page from entries that were asked for with one more than the limit. */
export function pageFrom<T>(found: readonly T[], key: (item: T) => string, request: PageRequest): Page<T> {
  const limit = limitOf(request);
  const items = found.slice(0, limit);
  return { items, cursor: found.length > limit ? key(items.at(-1)!) : null };
}
