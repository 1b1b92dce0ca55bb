/**
 * The forms that nodes give their packets. The broker trusts what it is sent: it answers to the sender's name as a part of
 * a subject, takes a node for one before it has read what that says of itself, and begins a stream for whoever says that
 * there is one. So what has another form is dropped before; fields that a later version adds are left alone.
 */

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

/** Of a part of a subject: no dots, and nothing that NATS reads as something else. */
const NODE = /^[A-Za-z0-9_-]{1,300}$/;
const TEXT_MAX = 500;
/** Nodes come nowhere near them. */
const SERVICES_MAX = 200;
const NAMES_MAX = 500;
/** An INFO packet, unpacked; that of a node with all services has about 40 KB. */
export const INFO_BYTES_MAX = 512 * 1024;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
const isText = (value: unknown): boolean => typeof value === 'string' && value.length > 0 && value.length <= TEXT_MAX;
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null || check(value);
const list =
  (check: Check, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(check);

/** Actions and events of a service, by their names. */
const isNamed: Check = (value) => {
  if (!isObject(value)) return false;
  const all = Object.values(value);
  return all.length <= NAMES_MAX && all.every((one) => isObject(one) && isText(one.name));
};

const isService: Check = (value) =>
  isObject(value) &&
  isText(value.name) &&
  optional(isText)(value.fullName) &&
  [value.actions, value.events].every(optional(isNamed));

/** Streams are never sent: a message's bytes do not cross the broker. */
const isWhole = ({ stream, seq }: Fields): boolean => (stream ?? false) === false && (seq ?? null) === null;

const hasContext = ({ meta, headers }: Fields): boolean => [meta, headers].every(optional(isObject));

const FORMS: Readonly<Record<string, (fields: Fields) => boolean>> = {
  REQ: (fields) => isText(fields.id) && isText(fields.action) && isWhole(fields) && hasContext(fields),
  RES: (fields) =>
    isText(fields.id) &&
    typeof fields.success === 'boolean' &&
    (fields.success || isObject(fields.error)) &&
    isWhole(fields) &&
    hasContext(fields),
  EVENT: (fields) => isText(fields.event) && optional(list(isText, NAMES_MAX))(fields.groups) && hasContext(fields),
  INFO: ({ instanceID, seq, metadata, services }) =>
    isText(instanceID) &&
    optional(Number.isSafeInteger)(seq) &&
    optional(isObject)(metadata) &&
    list(isService, SERVICES_MAX)(services),
  HEARTBEAT: ({ instanceID, seq }) => optional(isText)(instanceID) && optional(Number.isSafeInteger)(seq),
};

/** Whether a packet has the form that this command's packets have. */
export function hasForm(command: string, payload: unknown): boolean {
  if (!isObject(payload) || typeof payload.sender !== 'string' || !NODE.test(payload.sender)) return false;
  return FORMS[command]?.(payload) ?? true;
}
