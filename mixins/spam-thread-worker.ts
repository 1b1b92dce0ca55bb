/** The thread side of SpamThread: models by id, and the analysis of one message after the other. */

import { parentPort } from 'node:worker_threads';
import { type Analysis, analyse } from '../core/spam/analyse.ts';
import { type Artefact, decodeArtefact } from '../core/spam/artefact.ts';
import { type ExtractInput, Extractor } from '../core/spam/extract.ts';

export type ToThread =
  | { readonly t: 'model'; readonly id: string; readonly bytes: Uint8Array; readonly drop: string | null }
  | { readonly t: 'analyse'; readonly n: number; readonly model: string; readonly input: ExtractInput };
export interface FromThread {
  readonly n: number;
  readonly analysis?: Analysis;
  readonly error?: string;
}

const models = new Map<string, Artefact>();
const extractor = new Extractor();

function answer(n: number, model: string, input: ExtractInput): FromThread {
  try {
    return { n, analysis: analyse(extractor, models.get(model)!, input) };
  } catch (error) {
    return { n, error: (error as Error).stack ?? String(error) };
  }
}

parentPort!.on('message', (messages: readonly ToThread[]) => {
  const answers: FromThread[] = [];
  for (const message of messages) {
    if (message.t === 'analyse') answers.push(answer(message.n, message.model, message.input));
    else {
      models.set(message.id, decodeArtefact(message.bytes));
      if (message.drop !== null) models.delete(message.drop);
    }
  }
  if (answers.length > 0) parentPort!.postMessage(answers);
});
