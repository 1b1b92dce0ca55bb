/**
 * LIST with its extensions: LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154), CHILDREN (RFC
 * 3348). A name that is no mailbox is shown as \NonExistent, and as \Noselect too for clients that know only that.
 */

import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { checkWork, listMatcher } from '../list-match.ts';
import { DELIMITER, parents } from '../mailbox-name.ts';
import { mailboxTree, specialUse, type TreeEntry } from '../mailbox-tree.ts';
import type { ArgParser } from '../parser.ts';
import type { ImapSession } from '../session.ts';
import { parseStatusItems, type StatusItem, writeStatus } from '../status-items.ts';

const PATTERNS_MAX = 100;

interface Args {
  readonly select: ReadonlySet<string>;
  readonly reference: string;
  readonly patterns: readonly string[];
  readonly returns: ReadonlySet<string>;
  readonly status: readonly StatusItem[];
  /** Any syntax of RFC 5258 was used: the empty pattern then has no special meaning. */
  readonly extended: boolean;
}

const SELECT_OPTIONS = ['SUBSCRIBED', 'REMOTE', 'RECURSIVEMATCH', 'SPECIAL-USE'];
const RETURN_OPTIONS = ['SUBSCRIBED', 'CHILDREN', 'SPECIAL-USE'];

function option(parser: ArgParser, known: readonly string[]): string {
  const name = parser.keyword();
  if (!known.includes(name)) throw new BadSyntax('Unknown LIST option');
  return name;
}

function parsePatterns(parser: ArgParser): string[] {
  if (parser.peek() !== 0x28) return [parser.listMailbox()];
  const patterns = parser.list(() => parser.listMailbox());
  if (patterns.length > PATTERNS_MAX) throw new BadSyntax('Too many patterns');
  return patterns;
}

function parse(parser: ArgParser): Args {
  parser.space();
  const hasSelect = parser.peek() === 0x28;
  const select = new Set(hasSelect ? parser.list(() => option(parser, SELECT_OPTIONS), true) : []);
  if (hasSelect) parser.space();
  const reference = parser.mailboxName();
  parser.space();
  const several = parser.peek() === 0x28;
  const patterns = parsePatterns(parser);
  let status: StatusItem[] = [];
  let returns = new Set<string>();
  const hasReturn = parser.trySpace();
  if (hasReturn) {
    if (!parser.tryKeyword('RETURN')) throw new BadSyntax('Expected RETURN');
    parser.space();
    const names = parser.list(() => {
      if (!parser.tryKeyword('STATUS')) return option(parser, RETURN_OPTIONS);
      parser.space();
      status = parseStatusItems(parser);
      return 'STATUS';
    }, true);
    returns = new Set(names);
  }
  // RFC 5258 §3.1: it only says how other options are applied.
  if (select.has('RECURSIVEMATCH') && !select.has('SUBSCRIBED') && !select.has('SPECIAL-USE')) {
    throw new BadSyntax('RECURSIVEMATCH needs another selection option');
  }
  return { select, reference, patterns, returns, status, extended: hasSelect || several || hasReturn };
}

export const list: CommandSpec<Args> = {
  name: 'LIST',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.9',
  parse,
  async run(session, args) {
    if (!args.extended && args.patterns[0] === '') {
      // RFC 9051 §6.3.9: asks for the delimiter and the root of the reference's name.
      session.out.untagged(`LIST (\\Noselect) "${DELIMITER}" ""`);
      return {};
    }
    if (args.status.includes('HIGHESTMODSEQ')) session.enableCondstore();
    const { select } = args;
    const wantsSubscribed = select.has('SUBSCRIBED') || args.returns.has('SUBSCRIBED');
    const tree = await mailboxTree(session, wantsSubscribed);
    checkWork(
      args.patterns,
      tree.map((entry) => entry.name),
    );
    const matchers = args.patterns.map((pattern) => listMatcher(args.reference + pattern));
    const matches = (entry: TreeEntry): boolean => matchers.some((match) => match(entry.name));
    const isSelected = (entry: TreeEntry): boolean =>
      (!select.has('SUBSCRIBED') || entry.subscribed) &&
      (!select.has('SPECIAL-USE') || specialUse(entry) !== null) &&
      // Without a selection option what exists is listed, and levels above it.
      (select.has('SUBSCRIBED') || entry.mailbox !== null || entry.hasChildren);
    const above = select.has('RECURSIVEMATCH') ? parentsOfSelected(tree, isSelected, matches) : NONE;
    for (const entry of withMissingParents(tree, above)) {
      if (!matches(entry)) continue;
      const selected = isSelected(entry);
      if (!selected && !above.has(entry.name)) continue;
      writeEntry(session, entry, wantsSubscribed, above.has(entry.name) ? childInfo(select) : '');
      // RFC 5819 §2: for selectable mailboxes that meet the selection criteria.
      if (args.status.length > 0 && selected && entry.mailbox !== null) {
        await writeStatus(session, entry.mailbox, args.status);
      }
      if (session.out.needsFlush) await session.input.flush();
    }
    return {};
  },
};

const NONE: ReadonlySet<string> = new Set();

/**
 * Names with a descendant that meets the selection criteria and is not itself listed (RFC 5258 §3.3, §3.5: CHILDINFO
 * says what no other response says).
 */
function parentsOfSelected(
  tree: readonly TreeEntry[],
  isSelected: (entry: TreeEntry) => boolean,
  matches: (entry: TreeEntry) => boolean,
): ReadonlySet<string> {
  const names = new Set<string>();
  for (const entry of tree) {
    if (isSelected(entry) && !matches(entry)) for (const parent of parents(entry.name)) names.add(parent);
  }
  return names;
}

/** The tree and those of `names` that are not in it: levels above names that are only subscribed. */
function withMissingParents(tree: readonly TreeEntry[], names: ReadonlySet<string>): readonly TreeEntry[] {
  const known = new Set(tree.map((entry) => entry.name));
  const missing = [...names].filter((name) => !known.has(name));
  if (missing.length === 0) return tree;
  return [...tree, ...missing.map((name) => ({ name, mailbox: null, hasChildren: false, subscribed: false }))];
}

const childInfo = (select: ReadonlySet<string>): string => {
  const criteria = ['SUBSCRIBED', 'SPECIAL-USE'].filter((name) => select.has(name));
  return ` ("CHILDINFO" (${criteria.map((name) => `"${name}"`).join(' ')}))`;
};

function writeEntry(session: ImapSession, entry: TreeEntry, subscribed: boolean, more: string): void {
  const attributes: string[] = [];
  if (entry.mailbox === null) attributes.push('\\Noselect', '\\NonExistent');
  // RFC 3348 §3: always known here, so always said.
  attributes.push(entry.hasChildren ? '\\HasChildren' : '\\HasNoChildren');
  if (subscribed && entry.subscribed) attributes.push('\\Subscribed');
  // RFC 6154 §2 allows them in every LIST response.
  const use = specialUse(entry);
  if (use !== null) attributes.push(use);
  session.out.ascii(`* LIST (${attributes.join(' ')}) "${DELIMITER}" `);
  session.writeMailboxName(entry.name);
  session.out.ascii(more).crlf();
}
