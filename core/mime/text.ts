/** The text parts of a message, and a part's text as its reader sees it. */

import { decodeCharset } from './charset.ts';
import { htmlToText } from './html-text.ts';
import { parameter } from './parameters.ts';
import type { Part } from './part.ts';
import { decodeTransfer } from './transfer.ts';

export { type HtmlText, htmlToText } from './html-text.ts';

/**
 * Leaf parts of type text in order, those of embedded messages included.
 * @param withAttachments also those that their disposition calls attachments
 */
export function textParts(root: Part, withAttachments = false): Part[] {
  const found: Part[] = [];
  const visit = (part: Part): void => {
    if (part.message !== null) visit(part.message.part);
    for (const child of part.children) visit(child);
    if (part.type === 'text' && (withAttachments || part.disposition?.type !== 'attachment')) found.push(part);
  };
  visit(root);
  return found;
}

/** A text part's content decoded: transfer encoding and charset taken off. */
export const partText = (part: Part, encoded: Uint8Array): string =>
  decodeCharset(decodeTransfer(encoded, part.encoding), parameter(part.params, 'charset') ?? '');

/** The text that a reader sees: HTML is rendered, other text given as it is; at most `limitBytes` characters. */
export function visibleText(part: Part, encoded: Uint8Array, limitBytes: number): string {
  const text = partText(part, encoded);
  return part.subtype === 'html' || part.subtype === 'xhtml'
    ? htmlToText(text, limitBytes).text
    : text.slice(0, limitBytes);
}
