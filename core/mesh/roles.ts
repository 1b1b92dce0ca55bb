/**
 * Which services there are, and which of them a node of a role runs. Any subset may run on any node: services find each
 * other in the mesh. The order is that of starting: whoever takes mail in, or answers people, starts last.
 */

export const SERVICES = [
  'mailbox',
  'account',
  'domain',
  'alias',
  'apikey',
  'folder',
  'message',
  'queue',
  'trace',
  'nodes',
  'model',
  'trainer',
  'maintenance',
  'authentication',
  'attachments',
  'spam',
  'placement',
  'delivery',
  'feedback',
  'search',
  'lmtp',
  'submission',
  'smtp',
  'pop3',
  'imap',
  'gateway',
] as const;
export type ServiceName = (typeof SERVICES)[number];

/** What the REST API is made of. */
export const API_SERVICES = [
  'account',
  'domain',
  'alias',
  'apikey',
  'folder',
  'message',
  'queue',
  'trace',
  'nodes',
  'model',
  'maintenance',
] as const satisfies readonly ServiceName[];

/** Services with sockets that speak TLS. */
const TLS_SERVICES: ReadonlySet<ServiceName> = new Set(['lmtp', 'submission', 'smtp', 'pop3', 'imap']);
/** Services that fail while nobody in the mesh writes mailboxes. Taking mail in does not: the queue holds it. */
const MAILBOX_USERS: ReadonlySet<ServiceName> = new Set(['pop3', 'imap', 'gateway']);

const INTAKE = ['lmtp', 'submission', 'smtp'] as const satisfies readonly ServiceName[];
const ACCESS = ['pop3', 'imap'] as const satisfies readonly ServiceName[];

/** An edge may be parted: who only takes mail in does so while NATS is away, and who serves mailboxes then can't. */
export const ROLES = {
  all: SERVICES,
  edge: [...INTAKE, ...ACCESS],
  intake: INTAKE,
  access: ACCESS,
  filter: ['authentication', 'attachments', 'spam', 'placement', 'delivery'],
  mailbox: ['mailbox', 'maintenance', 'search'],
  trainer: ['model', 'trainer', 'feedback'],
  gateway: [...API_SERVICES, 'gateway'],
} as const satisfies Readonly<Record<string, readonly ServiceName[]>>;
type Role = keyof typeof ROLES;

export const ROLE_NAMES = Object.keys(ROLES) as readonly Role[];

/** In starting order. */
export function servicesOf(options: {
  /** Names of roles, parted by commas. */
  readonly role: string;
  /** Names of services, parted by commas; they count instead of the role. */
  readonly services: string | null;
}): readonly ServiceName[] {
  const wanted = new Set<string>(
    options.services === null
      ? options.role.split(',').flatMap((role) => [...ROLES[role as Role]])
      : options.services.split(','),
  );
  return SERVICES.filter((name) => wanted.has(name));
}

export const needsCertificate = (services: readonly ServiceName[]): boolean =>
  services.some((name) => TLS_SERVICES.has(name));

export const needsMailboxes = (services: readonly ServiceName[]): boolean =>
  services.some((name) => MAILBOX_USERS.has(name));
