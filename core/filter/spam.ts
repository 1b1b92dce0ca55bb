/**
 * The spam stage: features → group models → combiner → each recipient's offset, lists and threshold → verdict, with the
 * version that decided and the strongest reasons in words. Mail that an authenticated account submitted is not scored.
 * The features are remembered under the queue id, so that a label needs no mail to be read again.
 */

import type { AccountId, ModelId } from '../mail/ids.ts';
import type { SpamPreferences } from '../ports/directory.ts';
import type { SampleFeatures } from '../ports/sample-store.ts';
import type { Artefact } from '../spam/artefact.ts';
import { authenticationFacts } from '../spam/authentication-facts.ts';
import { type Decision, decide } from '../spam/decide.ts';
import { explain } from '../spam/explain.ts';
import { Extractor } from '../spam/extract.ts';
import { score } from '../spam/model.ts';
import { listed, type SenderCounts } from '../spam/offset.ts';
import { SCHEMA } from '../spam/schema.ts';
import { senderKey } from '../spam/sender.ts';
import { BYTES_MAX } from '../spam/view.ts';
import type { StageContext, StageHandler, StageResult } from './stage.ts';

/** A model ready to score: never changed, only exchanged for another one. */
export interface LoadedModel {
  readonly id: ModelId;
  readonly version: number;
  readonly artefact: Artefact;
}

interface SpamStageDependencies {
  /** The model in use now: read once per message. */
  model(): LoadedModel;
  /** The user's labels in force about one sender. */
  offsets(account: AccountId, sender: string): Promise<SenderCounts>;
  preferences(account: AccountId): Promise<SpamPreferences>;
  remember(sample: SampleFeatures): Promise<void>;
}

/** One recipient's verdict, for placement. */
interface RecipientVerdict extends Decision {
  readonly account: AccountId;
}

/** What the stage leaves for those behind it; plain JSON. */
export interface SpamFacts {
  /** The model's probability, without any user's offset. */
  readonly p: number;
  readonly logits: readonly number[];
  readonly senderKey: string;
  readonly schema: number;
  readonly model: ModelId;
  readonly decision: 'spam' | 'ham';
  /** Accounts whose own verdict is the other one: all of them. */
  readonly contrary: readonly AccountId[];
  /** The first recipients' verdicts in full, for people. */
  readonly perRecipient: readonly RecipientVerdict[];
}

/** One account's verdict: what placement asks. */
export const decisionFor = (facts: Pick<SpamFacts, 'decision' | 'contrary'>, account: AccountId): 'spam' | 'ham' =>
  facts.contrary.includes(account) === (facts.decision === 'spam') ? 'ham' : 'spam';

/** A verdict's facts stay small whatever the number of recipients. */
const RECIPIENTS_LISTED_MAX = 60;
const REASONS = 3;

/** Which version decided, as people and header fields name it: `v12/abcdef12`. */
const modelName = (model: Pick<LoadedModel, 'id' | 'version'>): string => `v${model.version}/${model.id.slice(0, 8)}`;

export function makeSpamStage(dependencies: SpamStageDependencies): StageHandler {
  const extractor = new Extractor();
  return async (context) => {
    const { message } = context.job;
    const model = dependencies.model();
    if (message.client.account !== null) {
      const reasons = ['sent by an authenticated account'];
      return { result: 'skipped', score: null, reasons, version: modelName(model), headers: [], facts: {} };
    }
    const bytes = await context.blobs.read(message.blob, 0, Math.min(message.size, BYTES_MAX));
    return judgeMessage(context, bytes, model, extractor, dependencies);
  };
}

async function judgeMessage(
  { job, now }: StageContext,
  bytes: Uint8Array,
  model: LoadedModel,
  extractor: Extractor,
  dependencies: SpamStageDependencies,
): Promise<StageResult> {
  const { envelope, client, queueId } = job.message;
  const { weights, combiner, thresholds } = model.artefact;
  const authentication = authenticationFacts(job.verdicts.authentication);
  extractor.extract({
    bytes,
    envelopeSender: envelope.sender,
    helo: client.helo,
    clientAddress: client.address,
    tls: client.tls !== null,
    authentication,
  });
  const { sender } = extractor;
  const key = senderKey(sender);
  const scored = score(weights, combiner, extractor);
  // Everything that reads the extractor comes before the first wait: another message may use it then.
  const features = extractor.encode();
  const towards = (side: 'spam' | 'ham'): string[] =>
    explain(extractor, weights, combiner, scored, side, REASONS).map((reason) => reason.words);
  const words = { spam: towards('spam'), ham: towards('ham') };

  await dependencies.remember({ key: queueId, schema: SCHEMA, features, at: now });
  const accounts = [...new Set(envelope.recipients.map((recipient) => recipient.account))];
  const forged = authentication?.dmarc === 'fail';
  const verdicts = await Promise.all(
    accounts.map(async (account): Promise<RecipientVerdict> => {
      const counts = await dependencies.offsets(account, key);
      const list = listed(await dependencies.preferences(account), sender);
      // RFC 7489 §3: whoever fails DMARC is not known to be the sender that the list names.
      const decision = decide(scored.logit, thresholds.spam, counts, list === 'allow' && forged ? null : list);
      return { account, ...decision, score: round(decision.score) };
    }),
  );
  const general = scored.p >= thresholds.spam ? 'spam' : 'ham';
  const agreed = verdicts.every((one) => one.decision === verdicts[0]!.decision) ? verdicts[0]?.decision : undefined;
  const result = agreed ?? general;
  const personal = verdicts.length === 1 && verdicts[0]!.why !== 'model' ? [PERSONAL[verdicts[0]!.why][result]] : [];
  const reasons = [...personal, ...words[result]].slice(0, REASONS);
  const shown = verdicts.length === 1 ? verdicts[0]!.score : round(scored.p);
  const facts: SpamFacts = {
    p: round(scored.p),
    logits: Array.from(scored.logits, (logit) => Math.round(logit * 100) / 100),
    senderKey: key,
    schema: SCHEMA,
    model: model.id,
    decision: general,
    contrary: verdicts.filter((one) => one.decision !== general).map((one) => one.account),
    perRecipient: verdicts.slice(0, RECIPIENTS_LISTED_MAX),
  };
  return {
    result,
    score: shown,
    reasons,
    version: modelName(model),
    headers: [spamHeader(result, shown, model, reasons)],
    facts: { ...facts },
  };
}

const PERSONAL: Readonly<Record<Exclude<Decision['why'], 'model'>, Readonly<Record<'spam' | 'ham', string>>>> = {
  'own labels': {
    spam: 'you marked mail of this sender as spam before',
    ham: 'you took mail of this sender out of Junk before',
  },
  'allow list': { spam: 'sender is on your allow list', ham: 'sender is on your allow list' },
  'block list': { spam: 'sender is on your block list', ham: 'sender is on your block list' },
};

const round = (value: number): number => Math.round(value * 10_000) / 10_000;

/** Characters of one line, RFC 5322 §2.1.1 recommends 78. */
const LINE = 76;
const REASON_MAX = 120;

/** The field that says who decided and why; printable ASCII, folded at its semicolons. */
export function spamHeader(
  result: 'spam' | 'ham',
  shown: number,
  model: Pick<LoadedModel, 'id' | 'version'>,
  reasons: readonly string[],
): string {
  const parts = [`${result}, score=${shown.toFixed(2)}, model=${modelName(model)}`, ...reasons.map(safe)];
  let field = 'X-Mailmesh-Spam:';
  let width = field.length;
  parts.forEach((part, i) => {
    const text = i + 1 < parts.length ? `${part};` : part;
    const fold = width + 1 + text.length > LINE;
    field += `${fold ? '\r\n' : ''} ${text}`;
    width = fold ? 1 + text.length : width + 1 + text.length;
  });
  return `${field}\r\n`;
}

/** What a message says must not be able to end the field or hide in it. */
function safe(reason: string): string {
  let text = '';
  for (const character of reason) {
    const code = character.codePointAt(0)!;
    text += code >= 0x20 && code <= 0x7e && code !== 0x3b ? character : code > 0x7e ? '?' : ' ';
  }
  return text.length > REASON_MAX ? `${text.slice(0, REASON_MAX - 3)}...` : text;
}
