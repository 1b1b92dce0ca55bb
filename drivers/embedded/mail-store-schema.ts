/**
 * Tables of one shard of the mail store, and how keys are packed. A message's rowid is `mailbox << 32 | uid` and a
 * content's is `account << 32 | number`, so that a mailbox, and an account's contents, lie together on the disk.
 * Released migrations are never changed.
 */

/** The low half of a packed key: a uid, or an account's own number of a content. */
export const LOW = 4294967295;

/**
 * `accounts.id` is NULL while the account is being purged, `mailboxes.name` while a deleted mailbox is remembered for
 * its vanished uids, and `messages.content` in a tombstone (whose `date` is the time of the expunge).
 */
export const MIGRATIONS = [
  `
  CREATE TABLE accounts (
    key INTEGER PRIMARY KEY,
    id TEXT UNIQUE,
    mod_seq INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    used_bytes INTEGER NOT NULL,
    used_messages INTEGER NOT NULL,
    quota_bytes INTEGER,
    quota_messages INTEGER,
    uid_validity INTEGER NOT NULL,
    last_content INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    until INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX accounts_purge ON accounts (key) WHERE id IS NULL;

  CREATE TABLE mailboxes (
    key INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT,
    role TEXT,
    uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL,
    mod_seq INTEGER NOT NULL,
    total INTEGER NOT NULL,
    unseen INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    recent_uid INTEGER NOT NULL,
    tombstones INTEGER NOT NULL,
    floor INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX mailboxes_id ON mailboxes (account, id);
  CREATE UNIQUE INDEX mailboxes_name ON mailboxes (account, name);
  CREATE INDEX mailboxes_gc ON mailboxes (key) WHERE tombstones > 100000 OR name IS NULL;

  CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    mod_seq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    date INTEGER NOT NULL,
    size INTEGER NOT NULL,
    content INTEGER
  ) STRICT;
  CREATE INDEX messages_changed ON messages (mailbox, mod_seq) WHERE content IS NOT NULL;
  CREATE INDEX messages_vanished ON messages (mailbox, mod_seq) WHERE content IS NULL;
  CREATE INDEX messages_content ON messages (content) WHERE content IS NOT NULL;

  CREATE TABLE flag_sets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    names TEXT NOT NULL UNIQUE,
    seen INTEGER NOT NULL,
    deleted INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    sent_at INTEGER,
    origin TEXT NOT NULL,
    message_hash INTEGER,
    message_id TEXT NOT NULL,
    envelope BLOB NOT NULL,
    layout BLOB NOT NULL,
    bodystructure BLOB NOT NULL,
    structure BLOB NOT NULL
  ) STRICT;
  CREATE INDEX contents_message ON contents (message_hash) WHERE message_hash IS NOT NULL;
  CREATE TABLE content_blobs (blob BLOB NOT NULL, content INTEGER NOT NULL, PRIMARY KEY (blob, content)) STRICT, WITHOUT ROWID;
  CREATE TABLE dying (content INTEGER PRIMARY KEY) STRICT;

  CREATE TABLE receipts (
    account INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    uid_validity INTEGER NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (account, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX receipts_at ON receipts (at);

  CREATE TABLE subscriptions (account INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account, name)) STRICT, WITHOUT ROWID;
  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    mod_seq INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX outbox_key ON outbox (account, topic, key);
  `,
  `
  CREATE TABLE requests (
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    result BLOB NOT NULL,
    PRIMARY KEY (account, name)
  ) STRICT;
  CREATE INDEX requests_at ON requests (at);
  `,
] as const;

/** Mailboxes that the collector has to look at; the words of the index mailboxes_gc, so that it is used. */
export const NEEDS_GC = 'tombstones > 100000 OR name IS NULL';
export const TOMBSTONES_KEPT = 100_000;
export const TOMBSTONE_AGE_MS = 30 * 24 * 3600_000;
export const RECEIPT_AGE_MS = 7 * 24 * 3600_000;
export const REQUEST_AGE_MS = 3600_000;
