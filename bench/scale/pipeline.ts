/**
 * Messages on the product's own way, from custody to the mailbox, with the cluster's stores on a database in memory: what
 * is in the collections afterwards is what sizing counts. Everything is the same in each run.
 */

import type { ServiceBroker } from 'moleculer';
import { loadConfig } from '../../core/config/load.ts';
import { makeAttachmentsStage } from '../../core/filter/attachments.ts';
import { makeAuthenticationStage } from '../../core/filter/authentication.ts';
import { makeSpamStage } from '../../core/filter/spam.ts';
import { deliveryPlan } from '../../core/filter/stages.ts';
import type { Stage, Verdict } from '../../core/filter/verdict.ts';
import { MailboxColumns } from '../../core/imap/mailbox-columns.ts';
import type { AcceptedMessage } from '../../core/mail/accepted.ts';
import { type AccountId, type MailboxId, modelId, modSeq, queueId, randomId, sessionId } from '../../core/mail/ids.ts';
import { readRange } from '../../core/mail/layout.ts';
import { bodyText, foldedFields, foldedHeader } from '../../core/mime/search-text.ts';
import { decodeStructure } from '../../core/mime/structure-code.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import type { Job } from '../../core/ports/queue.ts';
import type { Resolver } from '../../core/ports/resolver.ts';
import type { Label } from '../../core/ports/sample-store.ts';
import type { SearchDocument } from '../../core/ports/search-store.ts';
import { INVENTED } from '../../core/sasl/password.ts';
import { receivedField } from '../../core/smtp/trace-fields.ts';
import { ClusterBlobStore } from '../../drivers/cluster/blob-store.ts';
import { ClusterDirectory } from '../../drivers/cluster/directory.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import type { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { claimed, settled } from '../../drivers/cluster/queue-changes.ts';
import { newDocument, type QueueDocument } from '../../drivers/cluster/queue-document.ts';
import { ClusterSampleStore } from '../../drivers/cluster/sample-store.ts';
import { ClusterSearchStore } from '../../drivers/cluster/search-store.ts';
import { attachContext, type NodeContext } from '../../mixins/context.ts';
import { makeDeliverer } from '../../mixins/deliverer.ts';
import { makePlacementStage } from '../../mixins/placement.ts';
import { seedModel } from '../../mixins/seed-model.ts';
import type { RunHandler } from '../../mixins/stage-runner.ts';
import { startMailboxes } from '../../mixins/start-mailboxes.ts';
import { seeded } from '../spam-metrics.ts';
import { RecordingMongo } from './recording-mongo.ts';

const NOW = 1_790_000_000_000;
const HOUR_MS = 3_600_000;
const DOMAIN = 'mail.localhost';
const LEASE_MS = 60_000;

const QUIET = { info: () => undefined, warn: () => undefined };
const UNCOUNTED = { delivered: { inc: () => undefined }, deliveryLatency: { observe: () => undefined } };
const rethrow = (error: unknown): never => {
  throw error;
};
const noArchive = (): never => {
  throw new Error('sizing makes no backups');
};

/** Senders publish SPF and DMARC, as most do. */
const resolver: Resolver = {
  async resolve(name, type) {
    if (type === 'TXT' && name.startsWith('_dmarc.')) return [['v=DMARC1; p=none']];
    if (type === 'TXT') return [['v=spf1 ip4:192.0.2.0/24 -all']];
    throw Object.assign(new Error('no such record'), { code: 'ENODATA' });
  },
};

export interface Accepted {
  readonly from: string;
  readonly bytes: Uint8Array;
  /** Place of its account. */
  readonly to: number;
}

export class Pipeline {
  readonly mongo = new RecordingMongo();
  readonly mail: ClusterMailStore;
  readonly blobs: ClusterBlobStore;
  readonly accounts: AccountId[] = [];
  /** What delivery asked of the mailbox actors. */
  readonly commits: { readonly account: AccountId; readonly ops: readonly Op[] }[] = [];
  /** The messages as their nodes take custody of them. */
  readonly messages: AcceptedMessage[] = [];
  readonly #directory: ClusterDirectory;
  readonly #samples: ClusterSampleStore;
  readonly #epochs = new Map<AccountId, number>();
  readonly #inboxes: MailboxId[] = [];
  readonly #handlers = new Map<Stage, RunHandler>();
  readonly #remembered: Promise<void>[] = [];
  readonly #random = seeded(1);

  private constructor() {
    const mongo = this.mongo.asMongo;
    const now = (): number => NOW;
    this.mail = new ClusterMailStore({ mongo, now });
    this.blobs = new ClusterBlobStore({ mongo, now, archive: noArchive });
    this.#directory = new ClusterDirectory({ mongo, now, node: 'sizing', archive: noArchive });
    this.#samples = new ClusterSampleStore({ mongo, archive: noArchive });
  }

  #randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.#random() * 256));
  }

  /** With accounts as the service makes them. */
  static async open(accounts: number): Promise<Pipeline> {
    const pipeline = new Pipeline();
    const { mail, blobs } = pipeline;
    for (const store of [mail, blobs, pipeline.#directory, pipeline.#samples]) await store.open();
    await pipeline.#directory.addDomain({ name: DOMAIN, catchAll: null, createdAt: NOW });
    for (let i = 0; i < accounts; i++) await pipeline.#addAccount(i);
    await pipeline.#makeHandlers();
    await pipeline.#makeQueueIndexes();
    return pipeline;
  }

  /** Those of the stages come with their first claims. */
  async #makeQueueIndexes(): Promise<void> {
    const storeClock = { open: async () => undefined, close: () => undefined, now: () => NOW };
    const nats = { connected: false, trouble: null, onChange: () => () => undefined } as unknown as Nats;
    const queue = new ClusterQueue({ mongo: this.mongo.asMongo, nats, now: () => NOW, archive: noArchive, storeClock });
    await this.mongo.record.join();
    await queue.open();
    for (const { stage } of deliveryPlan()) await queue.claim(stage, { max: 1, leaseMs: LEASE_MS, now: NOW });
    await queue.close();
  }

  async #addAccount(place: number): Promise<void> {
    const id = randomId<AccountId>(this.#randomBytes(16));
    const mailboxes = startMailboxes(() => randomId<MailboxId>(this.#randomBytes(16)));
    const quota = { quotaBytes: null, quotaMessages: null };
    await this.mail.createAccount({ account: id, ...quota, mailboxes });
    const lease = await this.mail.lease(id, 'node-of-the-mesh-0/0123abcd', LEASE_MS);
    this.#epochs.set(id, lease!.epoch);
    await this.commit(
      id,
      mailboxes.map(({ name }) => ({ t: 'subscribe', name, subscribed: true })),
    );
    const address = `some.person${place}@${DOMAIN}`;
    const entry = { id, address, enabled: true, ...quota, createdAt: NOW, rev: 1, spam: { allow: [], block: [] } };
    await this.#directory.addAccount(entry, INVENTED);
    this.accounts.push(id);
    this.#inboxes.push(mailboxes[0]!.id);
  }

  commit(account: AccountId, ops: readonly Op[]) {
    return this.mail.commit(account, this.#epochs.get(account)!, ops);
  }

  async #makeHandlers(): Promise<void> {
    const broker = {
      call: (_: string, params: { readonly account: AccountId; readonly ops: readonly Op[] }) => {
        this.commits.push(params);
        return this.commit(params.account, params.ops);
      },
    } as unknown as ServiceBroker;
    const context = {
      config: loadConfig({}),
      version: '0.1.0',
      stores: { mail: this.mail, blobs: this.blobs },
      mesh: { isShared: false },
      log: QUIET,
      metrics: UNCOUNTED,
      now: () => NOW,
    } as unknown as NodeContext;
    attachContext(broker, context);
    const { artefact } = await seedModel();
    const model = { id: modelId('0'.repeat(64)), version: 1, artefact };
    this.#handlers.set('authentication', makeAuthenticationStage({ resolver, hostname: DOMAIN }));
    this.#handlers.set('attachments', makeAttachmentsStage());
    this.#handlers.set(
      'spam',
      makeSpamStage({
        model: () => model,
        offsets: async () => ({ spam: 0, ham: 0 }),
        preferences: async () => ({ allow: [], block: [] }),
        // Gathered for a moment and written together.
        remember: async (sample) => void this.#remembered.push(this.#samples.remember(sample)),
      }),
    );
    this.#handlers.set('placement', makePlacementStage(context));
    this.#handlers.set('delivery', makeDeliverer(context, broker));
  }

  /** From DATA to the mailbox. */
  async deliver({ from, bytes, to }: Accepted): Promise<void> {
    const message = await this.#accept(from, bytes, to);
    const plan = deliveryPlan();
    let document: QueueDocument = { ...newDocument(message, plan, { at: NOW, now: NOW }), mark: MARK };
    const verdicts: Partial<Record<Stage, Verdict>> = {};
    for (const { stage } of plan) {
      const token = TOKEN;
      const job: Job = { queueId: message.queueId, stage, token, attempt: 1, message, verdicts, deliveries: [] };
      const signal = new AbortController().signal;
      const result = await this.#handlers.get(stage)!({ job, blobs: this.blobs, signal, now: NOW });
      const { deliveries = [], ...rest } = result;
      const verdict: Verdict = { stage, ...rest, durationMs: 2.5, at: NOW, skipped: false };
      verdicts[stage] = verdict;
      document = claimed(document, { stage, token, until: NOW + LEASE_MS }, NOW)!.document;
      const settling = { stage, token, now: NOW, verdict: JSON.stringify(verdict) };
      const given = deliveries.length === 0 ? null : JSON.stringify(deliveries);
      document = settled(document, { ...settling, deliveries: given }, () => undefined)!.document;
    }
    await this.mongo.collection('queue').insertOne({ ...document });
  }

  async #accept(from: string, bytes: Uint8Array, to: number): Promise<AcceptedMessage> {
    const at = NOW + this.messages.length;
    const address = `some.person${to}@${DOMAIN}`;
    const client = {
      session: sessionId('s', at, new Uint8Array(5)),
      ...{ address: '192.0.2.25', port: 40_000, helo: 'mx.sender.example', protocol: 'ESMTPS' },
      ...{ tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }, account: null, user: null },
    };
    const writer = this.blobs.writer();
    await writer.write(bytes);
    const { ref, size } = await writer.commit();
    const text = Buffer.from(bytes.subarray(0, 2_000)).toString('latin1');
    const id = queueId(at, this.#randomBytes(7));
    const recipient = { address, account: this.accounts[to]!, subaddress: '' };
    const message: AcceptedMessage = {
      ...{ queueId: id, acceptedAt: at, client, blob: ref, size, removed: [] },
      envelope: { sender: from, recipients: [recipient], smtputf8: false, body: '8BITMIME' },
      headers: receivedField({ client, hostname: DOMAIN, queueId: id, recipient: address, at }),
      messageId: /^Message-ID: (<.*>)/m.exec(text)?.[1] ?? '',
      subject: /^Subject: (.*)\r/m.exec(text)?.[1] ?? '',
    };
    this.messages.push(message);
    return message;
  }

  /** The account expunges everything in its INBOX. */
  async expunge(place: number): Promise<void> {
    const op: Op = { t: 'expunge', mailbox: this.#inboxes[place]!, uids: null, onlyDeleted: false };
    await this.commit(this.accounts[place]!, [op]);
  }

  /** Its user says of so many of its messages that they are spam. */
  async label(place: number, count: number): Promise<void> {
    const labels = this.messages.slice(0, count).map(
      ({ queueId: sample }, n): Label => ({
        ...{ key: `${this.accounts[place]} ${sample} ${n}`, account: this.accounts[place]!, sample, label: 'spam' },
        ...{ source: 'move', sender: 'f9eb24d02c6e5cd3f3efddeb', previous: 'ham', score: 0.0786 },
        ...{ model: 'v1/00000000', schema: 1, weight: 1, at: NOW },
      }),
    );
    await this.#samples.append(labels);
  }

  /** All of the account's messages into the search index, as the indexer gives them. */
  async index(place: number): Promise<void> {
    const account = this.accounts[place]!;
    const search = new ClusterSearchStore({ mongo: this.mongo.asMongo, failed: rethrow });
    // Its seed would be a random one.
    const manifest = { rev: 0, seed: 1, mark: 0, documents: 0, segments: [], pending: [], dropped: [] };
    await this.mongo.collection('searchManifests').insertOne({ _id: account, ...manifest });
    const { changed, upTo } = await this.mail.changes(account, null, modSeq(0));
    const ids = changed.map(({ content }) => content);
    const documents: SearchDocument[] = [];
    for (const content of await this.mail.contents(account, ids, ['layout', 'structure'])) {
      const { id, layout, structure } = content!;
      const root = decodeStructure(structure);
      const header = foldedHeader(foldedFields(await readRange(this.blobs, layout, 0, root.bodyStart)));
      const texts: string[] = [];
      for await (const { text } of bodyText(this.blobs, layout, root)) texts.push(text);
      documents.push({ account, content: id, header, body: texts.join(''), truncated: false });
    }
    await search.index(documents, [{ account, mark: upTo }]);
    await search.idle();
    await search.close();
  }

  /** What a session holds of an INBOX that it has selected. */
  async columnsOf(place: number): Promise<MailboxColumns> {
    const account = this.accounts[place]!;
    return new MailboxColumns(this.mail, account, (await this.mail.columns(account, this.#inboxes[place]!))!);
  }

  /** What is on its way into the collections is there when this resolves; receipts have not run out yet. */
  async settle(): Promise<void> {
    await Promise.all(this.#remembered);
    while (await this.mail.gc(NOW + 6.5 * 24 * HOUR_MS, 1_000));
  }

  async close(): Promise<void> {
    for (const store of [this.mail, this.blobs, this.#directory, this.#samples]) await store.close();
  }
}

/** As long as the queue's own. */
const MARK = '0123456789ab.2s';
const TOKEN = '0123456789ab.2s';
