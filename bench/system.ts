/** A mail server under measurement, ours or a peer: where it listens, who has mail there, and what processes it is. */

export interface Login {
  readonly address: string;
  readonly password: string;
}

export interface System {
  readonly name: string;
  readonly ports: Readonly<Partial<Record<'smtp' | 'lmtp' | 'imap' | 'pop3' | 'http', number>>>;
  /** Each load has users of its own: see `userOf`. */
  readonly users: readonly Login[];
  /** Where mail for a user may be put. */
  readonly places: readonly string[];
  /** Its processes, or those whose descendants they are. */
  readonly roots: readonly number[];
  stop(): Promise<void>;
}

export const DOMAIN = 'mail.localhost';
/** As many as deliver at a time, and one for each work that wants a mailbox for itself. */
export const USERS = ['u0', 'u1', 'u2', 'u3', 'u4', 'u5', 'u6', 'u7', 'reader', 'importer', 'watcher', 'pop'] as const;
export const PASSWORD = 'correct horse battery staple';

export const logins = (): Login[] => USERS.map((name) => ({ address: `${name}@${DOMAIN}`, password: PASSWORD }));

export const userOf = (system: System, name: (typeof USERS)[number]): Login => system.users[USERS.indexOf(name)]!;
export const deliveredTo = (system: System): readonly Login[] => system.users.slice(0, 8);
