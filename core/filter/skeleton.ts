/**
 * A stage to copy: reads the start of the message and says how it begins. The runner gives the job, the deadline and the
 * retries; a stage only answers. Running twice on the same message must do no harm.
 */

import type { StageHandler } from './stage.ts';

const START_BYTES = 64;

export const makeSkeletonStage = (): StageHandler => async (context) => {
  const { message } = context.job;
  const start = await context.blobs.read(message.blob, 0, Math.min(message.size, START_BYTES));
  return {
    result: start.length === 0 ? 'empty' : 'seen',
    score: null,
    reasons: [`the message has ${message.size} bytes`],
    version: 'skeleton-1',
    headers: [],
    facts: {},
  };
};
