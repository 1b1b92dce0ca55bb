/**
 * Checks values against JSON Schema, as far as the project's OpenAPI document uses it. Keywords that it does not know are
 * errors, so that nothing passes unchecked; properties that a schema with properties does not name are errors too, so
 * that nothing is answered undescribed.
 */

export type Schema = Readonly<Record<string, unknown>>;

const KNOWN = new Set([
  '$ref',
  'type',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'enum',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'description',
]);

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;

const fits = (type: string, value: unknown): boolean =>
  typeOf(value) === type || (type === 'number' && typeof value === 'number');

/** What is wrong with the value, each with its place; empty when it fits. `components` resolves references. */
export function schemaErrors(
  value: unknown,
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  place = '$',
): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KNOWN.has(keyword));
  if (unknown.length > 0) return [`${place}: keywords not checked: ${unknown.join(', ')}`];
  if (typeof schema.$ref === 'string') {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(schema.$ref)?.[1];
    const target = name === undefined ? undefined : components[name];
    if (target === undefined) return [`${place}: ${schema.$ref} is not there`];
    return schemaErrors(value, target, components, place);
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => fits(type as string, value)))
    return [`${place}: ${typeOf(value)}, not ${types.join(' or ')}`];
  return [...bounds(value, schema, place), ...children(value, schema, components, place)];
}

function bounds(value: unknown, schema: Schema, place: string): string[] {
  const size = typeof value === 'number' ? value : typeof value === 'string' || Array.isArray(value) ? value.length : 0;
  const [least, most] =
    typeof value === 'number'
      ? [schema.minimum, schema.maximum]
      : typeof value === 'string'
        ? [schema.minLength, schema.maxLength]
        : [schema.minItems, schema.maxItems];
  const errors: string[] = [];
  if (typeof least === 'number' && size < least) errors.push(`${place}: ${size} is less than ${least}`);
  if (typeof most === 'number' && size > most) errors.push(`${place}: ${size} is more than ${most}`);
  if (Array.isArray(schema.enum) && !schema.enum.includes(value)) errors.push(`${place}: not one of ${schema.enum}`);
  return errors;
}

function children(
  value: unknown,
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  place: string,
): string[] {
  if (Array.isArray(value))
    return schema.items === undefined
      ? []
      : value.flatMap((item, i) => schemaErrors(item, schema.items as Schema, components, `${place}[${i}]`));
  if (typeof value !== 'object' || value === null) return [];
  const properties = (schema.properties ?? {}) as Readonly<Record<string, Schema>>;
  const missing = ((schema.required ?? []) as readonly string[]).filter((name) => !(name in value));
  return [
    ...missing.map((name) => `${place}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, one]) => {
      const described = properties[name];
      if (described !== undefined) return schemaErrors(one, described, components, `${place}.${name}`);
      return schema.additionalProperties === true ? [] : [`${place}.${name} is not described`];
    }),
  ];
}
