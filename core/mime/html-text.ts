/**
 * The text that a reader of an HTML mail sees, and counts of what surrounds it, for search and spam features. One pass
 * over tags, no tree: linear whatever the input is.
 */

import { decodeEntities } from './html-entities.ts';
import { readTag, type Tag } from './html-tag.ts';

export interface HtmlText {
  /** Visible text: white space collapsed, blocks on lines of their own. */
  readonly text: string;
  /** Characters of text in elements that are not shown; scripts and style sheets included. */
  readonly hiddenBytes: number;
  readonly commentBytes: number;
  /** Targets of links, images, frames and forms as written, entities resolved; at most 1,000. */
  readonly urls: readonly string[];
  readonly tags: number;
  readonly images: number;
  readonly links: number;
  readonly forms: number;
  readonly scripts: number;
  /** The limit cut the text. */
  readonly truncated: boolean;
}

const URLS_MAX = 1000;
const URL_LENGTH_MAX = 2048;

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '));
const BLOCKS = words(
  'address article aside blockquote br body center dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 ' +
    'h6 header hr html li main nav ol option p pre section table tbody tfoot thead tr ul',
);
const CELLS = words('td th');
/** Their content is no markup (HTML's raw text elements) and is not shown. */
const RAW = words('script style textarea title xmp noembed noframes iframe');
const HIDDEN = words('head template datalist object');
const VOID = words('area base br col embed hr img input link meta param source track wbr');
const URL_ATTRIBUTES = ['href', 'src', 'action', 'background'] as const;

/** Compared with the style attribute, lower case and without white space. */
const HIDING_STYLES = [
  'display:none',
  'visibility:hidden',
  'font-size:0',
  'opacity:0;',
  'max-height:0',
  'mso-hide:all',
];
const NOT_HIDING = /font-size:0?\.[1-9]/;

function isHidden(tag: Tag): boolean {
  if (HIDDEN.has(tag.name) || tag.attribute('hidden') !== undefined) return true;
  const style = tag.attribute('style');
  if (style === undefined) return false;
  const compact = `${style.toLowerCase().replace(/\s+/g, '')};`;
  return HIDING_STYLES.some((hiding) => compact.includes(hiding)) && !NOT_HIDING.test(compact);
}

class HtmlReader {
  readonly #html: string;
  readonly #limit: number;
  /** Joined at the end: asking a growing string for its last character would copy it each time. */
  readonly #pieces: string[] = [];
  #length = 0;
  #truncated = false;
  #atLineStart = true;
  /** White space is due before the next text of this line. */
  #space = false;
  #hidden = { name: '', depth: 0 };
  #counts = { hiddenBytes: 0, commentBytes: 0, tags: 0, images: 0, links: 0, forms: 0, scripts: 0 };
  readonly #urls: string[] = [];

  constructor(html: string, limit: number) {
    this.#html = html;
    this.#limit = limit;
  }

  read(): HtmlText {
    const html = this.#html;
    let at = 0;
    while (at < html.length) {
      const open = html.indexOf('<', at);
      if (open < 0) break;
      if (open > at) this.#addText(html.slice(at, open));
      at = this.#markup(open);
    }
    if (at < html.length) this.#addText(html.slice(at));
    return { text: this.#pieces.join('').trimEnd(), urls: this.#urls, truncated: this.#truncated, ...this.#counts };
  }

  /** What begins with the `<` at `open`. Gives where it ends. */
  #markup(open: number): number {
    const html = this.#html;
    const next = html.charCodeAt(open + 1);
    if (next === 33 || next === 63) {
      const isComment = html.startsWith('<!--', open);
      const close = html.indexOf(isComment ? '-->' : '>', open + 2);
      const end = close < 0 ? html.length : close + (isComment ? 3 : 1);
      if (isComment) this.#counts.commentBytes += end - open;
      return end;
    }
    const tag = readTag(html, open);
    if (tag === undefined) {
      this.#addText('<');
      return open + 1;
    }
    this.#counts.tags++;
    if (tag.closing) this.#close(tag.name);
    else if (RAW.has(tag.name)) return this.#rawText(tag);
    else this.#open(tag);
    return tag.end;
  }

  #open(tag: Tag): void {
    if (tag.name === 'img') this.#counts.images++;
    else if (tag.name === 'a') this.#counts.links++;
    else if (tag.name === 'form') this.#counts.forms++;
    this.#collectUrls(tag);
    this.#break(tag.name);
    if (VOID.has(tag.name)) return;
    if (this.#hidden.depth > 0) {
      if (tag.name === this.#hidden.name) this.#hidden.depth++;
    } else if (isHidden(tag)) this.#hidden = { name: tag.name, depth: 1 };
  }

  #close(name: string): void {
    if (this.#hidden.depth > 0 && name === this.#hidden.name) this.#hidden.depth--;
    this.#break(name);
  }

  #collectUrls(tag: Tag): void {
    for (const name of URL_ATTRIBUTES) {
      if (this.#urls.length >= URLS_MAX) return;
      const value = tag.attribute(name);
      if (value !== undefined) this.#urls.push(decodeEntities(value.slice(0, URL_LENGTH_MAX)).trim());
    }
  }

  /** Up to the element's end tag. */
  #rawText(tag: Tag): number {
    const html = this.#html;
    if (tag.name === 'script') this.#counts.scripts++;
    this.#collectUrls(tag);
    let end = html.indexOf('</', tag.end);
    while (end >= 0 && html.slice(end + 2, end + 2 + tag.name.length).toLowerCase() !== tag.name)
      end = html.indexOf('</', end + 2);
    const stop = end < 0 ? html.length : end;
    this.#counts.hiddenBytes += stop - tag.end;
    return stop;
  }

  #break(name: string): void {
    if (this.#hidden.depth > 0) return;
    if (CELLS.has(name)) this.#space = true;
    else if (BLOCKS.has(name) && !this.#atLineStart) {
      this.#pieces.push('\n');
      this.#length++;
      this.#atLineStart = true;
      this.#space = false;
    }
  }

  #addText(raw: string): void {
    if (this.#hidden.depth > 0) {
      this.#counts.hiddenBytes += raw.length;
      return;
    }
    const left = this.#limit - this.#length;
    if (left <= 0) {
      this.#truncated = true;
      return;
    }
    const collapsed = decodeEntities(raw).replace(/[\s\u00a0]+/g, ' ');
    const shown = collapsed.trim();
    if (shown === '') {
      this.#space ||= collapsed !== '';
      return;
    }
    const blank = !this.#atLineStart && (this.#space || collapsed.startsWith(' '));
    const piece = blank ? ` ${shown}` : shown;
    if (piece.length > left) this.#truncated = true;
    this.#pieces.push(piece.length > left ? piece.slice(0, left) : piece);
    this.#length += Math.min(left, piece.length);
    this.#atLineStart = false;
    this.#space = collapsed.endsWith(' ');
  }
}

/** @param limitBytes characters of text to give at most */
export const htmlToText = (html: string, limitBytes: number): HtmlText => new HtmlReader(html, limitBytes).read();
