/** Asks for the mailboxes of each recipient and writes down where core/delivery/placement.ts puts the copies. */

import { PLACEMENTS_LISTED_MAX, type Placement, place } from '../core/delivery/placement.ts';
import type { StageHandler } from '../core/filter/stage.ts';
import type { NodeContext } from './context.ts';

export const makePlacementStage =
  ({ stores, config, version }: NodeContext): StageHandler =>
  async ({ job }) => {
    const recipients = job.message.envelope.recipients.slice(0, PLACEMENTS_LISTED_MAX);
    const placements: Placement[] = [];
    for (const recipient of recipients) {
      const mailboxes = await stores.mail.mailboxes(recipient.account);
      const placement = place(recipient, mailboxes, job.verdicts.spam, config.subaddressMailbox);
      if (placement !== undefined) placements.push(placement);
    }
    const names = new Set(placements.map((placement) => placement.name));
    return {
      result: names.size === 1 ? [...names][0]! : 'several',
      score: null,
      reasons: placements.slice(0, 10).map(({ recipient, name, why }) => `${recipient} → ${name}: ${why}`),
      version,
      headers: [],
      facts: { placements },
    };
  };
