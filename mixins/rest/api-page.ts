/** A readable page of the API, made of its OpenAPI document: no script, nothing loaded from anywhere. */

type Json = Readonly<Record<string, unknown>>;

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

interface Operation {
  readonly operationId?: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly { readonly apiKey: readonly string[] }[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Json;
  }[];
  readonly requestBody?: { readonly content: Json };
}

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{margin:2rem 0 .5rem;text-transform:capitalize;border-bottom:1px solid #8884;font-size:1.15rem}
section{padding:.6rem 0;border-bottom:1px solid #8882}code{font:13px ui-monospace,monospace}b.m{display:inline-block;min-width:4.2rem;
font:600 12px ui-monospace,monospace}b.GET{color:#1769aa}b.POST{color:#1b7f3b}b.PATCH{color:#9a6700}b.DELETE{color:#b3261e}
.s{float:right;opacity:.7;font-size:.85rem}ul{margin:.3rem 0 0 4.2rem;padding:0;list-style:none;font-size:.9rem}pre{background:#8881;padding:.8rem;overflow:auto}`;

function typeOf(schema: Json): string {
  if (Array.isArray(schema.enum)) return schema.enum.join(' | ');
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : String(schema.type ?? 'any');
  if (schema.items !== undefined) return `${type} of ${typeOf(schema.items as Json)}`;
  if (schema.properties !== undefined) return `${type} with ${Object.keys(schema.properties as Json).join(', ')}`;
  if (schema.maxLength !== undefined) return `${type}, at most ${schema.maxLength} characters`;
  const { minimum, maximum } = schema;
  // The largest number that JSON carries exactly is no bound worth a word.
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (minimum === undefined || most === undefined) return minimum === undefined ? type : `${type}, at least ${minimum}`;
  return `${type}, ${minimum} to ${most}`;
}

function fieldsOf({ parameters = [], requestBody }: Operation): string {
  const rows = parameters.map(
    ({ name, in: place, required, schema }) =>
      `<li><code>${escapeHtml(name)}</code> (${place}${required === true ? '' : ', optional'}): ${escapeHtml(typeOf(schema))}</li>`,
  );
  const body = (requestBody?.content['application/json'] as { schema?: Json } | undefined)?.schema;
  const required = (body?.required ?? []) as readonly string[];
  for (const [name, schema] of Object.entries((body?.properties ?? {}) as Readonly<Record<string, Json>>))
    rows.push(
      `<li><code>${escapeHtml(name)}</code> (body${required.includes(name) ? '' : ', optional'}): ${escapeHtml(typeOf(schema))}</li>`,
    );
  return rows.length === 0 ? '' : `<ul>${rows.join('')}</ul>`;
}

export function apiPage(document: Json): string {
  const byTag = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(
    document.paths as Readonly<Record<string, Readonly<Record<string, Operation>>>>,
  ))
    for (const [method, operation] of Object.entries(methods)) {
      const verb = method.toUpperCase();
      const scope = operation.security[0]?.apiKey[0];
      const tag = operation.tags[0]!;
      const rows = byTag.get(tag) ?? [];
      byTag.set(tag, rows);
      rows.push(
        `<section>${scope === undefined ? '' : `<span class=s>key: ${scope}</span>`}<b class="m ${verb}">${verb}</b> ` +
          `<code>${escapeHtml(path)}</code> — ${escapeHtml(operation.summary)}${fieldsOf(operation)}</section>`,
      );
    }
  const sections = [...byTag]
    .map(([tag, rows]) => `<h2 id="${escapeHtml(tag)}">${escapeHtml(tag)}</h2>${rows.join('')}`)
    .join('');
  const links = [...byTag.keys()].map((tag) => `<a href="#${escapeHtml(tag)}">${escapeHtml(tag)}</a>`).join(' · ');
  return `<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width"><title>Mailmesh API</title>
<style>${STYLE}</style><h1>Mailmesh administration API</h1>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a>. Make a key with <code>npx mailmesh apikey create NAME --scope admin</code> and send it:</p>
<pre>curl -H 'Authorization: Bearer mm_…' http://127.0.0.1:8080/v1/accounts</pre>
<p>Lists come in pages: pass the answer's <code>cursor</code> to get the next one. A POST that makes something takes an <code>Idempotency-Key</code>:
sent again with the same one it gives the first answer. Errors are problem details (RFC 9457).</p><nav>${links}</nav>${sections}</html>`;
}
