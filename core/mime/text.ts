import { Fault } from '../mail/errors.ts';
import type { Part } from './part.ts';
export interface HtmlText {
  /** Visible text, white space collapsed, blocks on lines of their own. */
  readonly text: string;
  /** UTF-16 units of text inside elements that are not shown. */
  readonly hiddenBytes: number;
  readonly commentBytes: number;
  readonly urls: readonly string[];
  readonly tags: number;
  readonly images: number;
  readonly links: number;
  readonly forms: number;
  readonly scripts: number;
  /** The limit cut the text. */
  readonly truncated: boolean;
}
export function htmlToText(_html: string, _limitBytes: number): HtmlText {
  throw new Fault('later');
}
/** A text part's decoded bytes as a reader sees them: html is rendered, others are given as they are. */
export function visibleText(_part: Part, _encoded: Uint8Array, _limitBytes: number): string {
  throw new Fault('later');
}
/** Leaf parts with text to read, in order, those of embedded messages included; attachments left out. */
export function textParts(_root: Part): Part[] {
  throw new Fault('later');
}
