/**
 * The spam stage: features → group models → combiner → each recipient's offset, lists and threshold → verdict, with the
 * version that decided and the strongest reasons in words. Mail that an authenticated account submitted is not scored.
 * The features are remembered under the queue id, so that a label needs no mail to be read again.
 */

import type { AccountId, ModelId } from '../mail/ids.ts';
import type { SpamPreferences } from '../ports/directory.ts';
import type { SampleFeatures } from '../ports/sample-store.ts';
import { type Analysis, analyse, REASONS_MAX } from '../spam/analyse.ts';
import type { Artefact } from '../spam/artefact.ts';
import { authenticationFacts } from '../spam/authentication-facts.ts';
import { type Decision, decide } from '../spam/decide.ts';
import { type ExtractInput, Extractor } from '../spam/extract.ts';
import { listed, type SenderCounts } from '../spam/offset.ts';
import { SCHEMA } from '../spam/schema.ts';
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
  /** Runs core/spam/analyse.ts with the model; in this thread when not given. */
  analyse?(input: ExtractInput, model: LoadedModel): Promise<Analysis>;
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

/** Which version decided, as people and header fields name it: `v12/abcdef12`. */
const modelName = (model: Pick<LoadedModel, 'id' | 'version'>): string => `v${model.version}/${model.id.slice(0, 8)}`;

export function makeSpamStage(dependencies: SpamStageDependencies): StageHandler {
  const here = dependencies.analyse === undefined ? new Extractor() : null;
  const find = (input: ExtractInput, model: LoadedModel): Promise<Analysis> | Analysis =>
    here === null ? dependencies.analyse!(input, model) : analyse(here, model.artefact, input);
  return async (context) => {
    const { message } = context.job;
    const model = dependencies.model();
    if (message.client.account !== null) {
      const reasons = ['sent by an authenticated account'];
      return { result: 'skipped', score: null, reasons, version: modelName(model), headers: [], facts: {} };
    }
    const bytes = await context.blobs.read(message.blob, 0, Math.min(message.size, BYTES_MAX));
    const { envelope, client } = message;
    const input: ExtractInput = {
      bytes,
      envelopeSender: envelope.sender,
      helo: client.helo,
      clientAddress: client.address,
      tls: client.tls !== null,
      authentication: authenticationFacts(context.job.verdicts.authentication),
    };
    return judgeMessage(context, input, model, await find(input, model), dependencies);
  };
}

async function judgeMessage(
  { job, now }: StageContext,
  { authentication }: ExtractInput,
  model: LoadedModel,
  { sender, senderKey: key, p, logit, logits, words, features }: Analysis,
  dependencies: SpamStageDependencies,
): Promise<StageResult> {
  const { envelope, queueId } = job.message;
  const { thresholds } = model.artefact;
  await dependencies.remember({ key: queueId, schema: SCHEMA, features, at: now });
  const accounts = [...new Set(envelope.recipients.map((recipient) => recipient.account))];
  const forged = authentication?.dmarc === 'fail';
  const verdicts = await Promise.all(
    accounts.map(async (account): Promise<RecipientVerdict> => {
      const counts = await dependencies.offsets(account, key);
      const list = listed(await dependencies.preferences(account), sender);
      // RFC 7489 §3: whoever fails DMARC is not known to be the sender that the list names.
      const decision = decide(logit, thresholds.spam, counts, list === 'allow' && forged ? null : list);
      return { account, ...decision, score: round(decision.score) };
    }),
  );
  const general = p >= thresholds.spam ? 'spam' : 'ham';
  const agreed = verdicts.every((one) => one.decision === verdicts[0]!.decision) ? verdicts[0]?.decision : undefined;
  const result = agreed ?? general;
  const personal = verdicts.length === 1 && verdicts[0]!.why !== 'model' ? [PERSONAL[verdicts[0]!.why][result]] : [];
  const reasons = [...personal, ...words[result]].slice(0, REASONS_MAX);
  const shown = verdicts.length === 1 ? verdicts[0]!.score : round(p);
  const facts: SpamFacts = {
    p: round(p),
    logits: logits.map((one) => Math.round(one * 100) / 100),
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
