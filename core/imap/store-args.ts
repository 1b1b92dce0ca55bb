/** The arguments of STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3). */

import type { FlagSet, StoreMode } from '../mail/flags.ts';
import { flagSet } from '../mail/flags.ts';
import { BadSyntax } from './bad-syntax.ts';
import type { ArgParser, SequenceSet } from './parser.ts';

export interface StoreArgs {
  readonly set: SequenceSet;
  readonly mode: StoreMode;
  readonly silent: boolean;
  readonly flags: FlagSet;
  /** null where not given; 0 is a condition that nothing meets. */
  readonly unchangedSince: number | null;
}

const MODES: Readonly<Record<string, StoreMode>> = { '+': 'add', '-': 'remove' };

export function parseStore(parser: ArgParser): StoreArgs {
  parser.space();
  const set = parser.sequenceSet();
  parser.space();
  let unchangedSince: number | null = null;
  if (parser.tryOpen()) {
    if (!parser.tryKeyword('UNCHANGEDSINCE')) throw new BadSyntax('Unknown STORE modifier');
    parser.space();
    unchangedSince = parser.modSeq();
    parser.close();
    parser.space();
  }
  let item = parser.keyword();
  const mode = MODES[item[0]!] ?? 'replace';
  if (mode !== 'replace') item = item.slice(1);
  if (item !== 'FLAGS' && item !== 'FLAGS.SILENT') throw new BadSyntax('Unknown STORE data item');
  parser.space();
  const names = parser.peek() === 0x28 ? parser.flagList() : parseBareFlags(parser);
  // RFC 9051 §9: flag has no \Recent; only the server sets it.
  if (names.some((name) => name.toLowerCase() === '\\recent')) throw new BadSyntax('\\Recent cannot be stored');
  return { set, mode, silent: item.endsWith('.SILENT'), flags: flagSet(names), unchangedSince };
}

/** store-att-flags without parentheses: `flag *(SP flag)`. */
function parseBareFlags(parser: ArgParser): string[] {
  const names = [parser.flag()];
  while (parser.trySpace()) names.push(parser.flag());
  return names;
}
