/**
 * From label events in the outbox to labels in the log. Each event is idempotent by its key, so a crash between keeping
 * the label and taking the event out repeats without effect.
 */

import type { SpamFacts } from '../core/filter/spam.ts';
import { TemporaryError } from '../core/mail/errors.ts';
import { contentId, type QueueId } from '../core/mail/ids.ts';
import { readRange } from '../core/mail/layout.ts';
import type { Content, OutboxEntry } from '../core/ports/mail-store.ts';
import type { Label } from '../core/ports/sample-store.ts';
import { authenticationFacts } from '../core/spam/authentication-facts.ts';
import { Extractor } from '../core/spam/extract.ts';
import { type LabelFacts, type LabelIntent, resolveLabel } from '../core/spam/feedback.ts';
import { SCHEMA } from '../core/spam/schema.ts';
import { senderKey } from '../core/spam/sender.ts';
import { BYTES_MAX } from '../core/spam/view.ts';
import type { NodeContext } from './context.ts';
import { errorFacts } from './log.ts';

const BATCH = 100;

export class Feedback {
  readonly #context: NodeContext;
  readonly #extractor = new Extractor();
  #running: Promise<number> | undefined;
  #again = false;
  #stopped = false;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** Works the outbox off. The number of labels that were new. */
  run(): Promise<number> {
    this.#again = true;
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends after the entry at work; the others stay in the outbox for the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    // Of a failure hears whoever began the run.
    await this.#running?.catch(() => undefined);
  }

  async #drain(): Promise<number> {
    const { mail } = this.#context.stores;
    let labels = 0;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      for (let more = true; more && !this.#stopped; ) {
        const entries = await mail.outbox('feedback', BATCH);
        const done: OutboxEntry[] = [];
        for (const entry of entries) {
          if (this.#stopped) break;
          labels += await this.#takeOrLose(entry);
          done.push(entry);
        }
        if (done.length > 0) await mail.outboxDone('feedback', done);
        more = entries.length === BATCH;
      }
    }
    return labels;
  }

  /** A message that can't be read must not hold up everyone's labels; trouble that passes is waited for. */
  async #takeOrLose(entry: OutboxEntry): Promise<number> {
    try {
      return await this.#take(entry);
    } catch (error) {
      if (error instanceof TemporaryError) throw error;
      this.#context.log.error({ account: entry.account, key: entry.key, ...errorFacts(error) }, 'label.lost');
      return 0;
    }
  }

  async #take(entry: OutboxEntry): Promise<number> {
    const { stores, log, metrics } = this.#context;
    const intent = entry.payload as LabelIntent;
    const [content] = await stores.mail.contents(
      entry.account,
      [contentId(intent.content)],
      ['layout', 'size', 'origin'],
    );
    if (content === undefined) {
      log.info({ account: entry.account, key: entry.key }, 'label.message-gone');
      return 0;
    }
    const facts = await this.#facts(entry, intent, content);
    const label = resolveLabel(intent, facts);
    if (label === null) return 0;
    const appended = await stores.samples.append([label]);
    if (appended > 0) {
      metrics.labels.inc({ label: label.label, source: label.source });
      log.info({ account: entry.account, sample: label.sample, label: label.label, source: label.source }, 'label');
    }
    return appended;
  }

  async #facts({ account }: OutboxEntry, intent: LabelIntent, content: Content): Promise<LabelFacts> {
    const { samples, queue } = this.#context.stores;
    const sample = content.origin === '' ? `${account}/${intent.content}` : content.origin;
    const record = content.origin === '' ? undefined : await queue.show(content.origin as QueueId);
    const verdict = record?.verdicts.spam;
    const known = verdict?.facts as Partial<SpamFacts> | undefined;
    let sender = known?.senderKey;
    if (sender === undefined || (await samples.features(sample)) === undefined) {
      // It came in another way, or so long ago that its features are gone.
      this.#extractor.extract({
        bytes: await readRange(this.#context.stores.blobs, content.layout, 0, Math.min(content.size, BYTES_MAX)),
        envelopeSender: record?.accepted?.envelope.sender ?? null,
        helo: record?.accepted?.client.helo ?? null,
        clientAddress: record?.accepted?.client.address ?? null,
        tls: record?.accepted === null || record === undefined ? null : record.accepted.client.tls !== null,
        authentication: authenticationFacts(record?.verdicts.authentication),
      });
      sender ??= senderKey(this.#extractor.sender);
      await samples.remember({ key: sample, schema: SCHEMA, features: this.#extractor.encode(), at: intent.at });
    }
    const spamOrHam = verdict?.result === 'spam' || verdict?.result === 'ham' ? verdict.result : 'none';
    return {
      account,
      sample,
      newest: await samples.newest(account, sample),
      sender,
      previous: spamOrHam as Label['previous'],
      score: verdict?.score ?? null,
      model: known?.model ?? '',
      schema: SCHEMA,
    };
  }
}
