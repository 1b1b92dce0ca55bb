/**
 * One MIME entity as byte offsets into its whole message: the index from which BODY[…], BODYSTRUCTURE, text and
 * attachments are read. Strings taken from header fields hold one byte per character (latin-1) exactly as they stand in
 * the message; `parameter()` (parameters.ts) and `decodeHeaderText()` (encoded-word.ts) make text of them.
 */

export interface Part {
  /** First byte of the entity's header; 0 in the root, behind the delimiter line in a body part. */
  readonly headerStart: number;
  /** Behind the blank line that ends the header. Equals bodyStart. */
  readonly headerEnd: number;
  readonly bodyStart: number;
  /** Before the line end that belongs to the delimiter (RFC 2046 §5.1.1), or the message's end. */
  readonly bodyEnd: number;
  /** Line ends (LF) in the body. */
  readonly lines: number;
  /** Media type in lower case: `text`; defaults of RFC 2045 §5.2 and RFC 2046 §5.1.5 are filled in. */
  readonly type: string;
  /** In lower case: `plain`. */
  readonly subtype: string;
  /** Content-Type parameters in order, names in lower case; continuations joined, `name*` where RFC 2231 §4 encoded. */
  readonly params: Params;
  /** Content-ID as written, or null. */
  readonly id: string | null;
  readonly description: string | null;
  /** Content-Transfer-Encoding in lower case; `7bit` when not given. */
  readonly encoding: string;
  readonly md5: string | null;
  readonly disposition: Disposition | null;
  readonly language: readonly string[];
  readonly location: string | null;
  /** Body parts of a multipart that was taken apart; else empty. */
  readonly children: readonly Part[];
  /** The message inside message/rfc822 or message/global, when it was taken apart. */
  readonly message: EmbeddedMessage | null;
}

export type Params = readonly (readonly [name: string, value: string])[];

export interface Disposition {
  /** In lower case. */
  readonly type: string;
  readonly params: Params;
}

export interface EmbeddedMessage {
  /** Its ENVELOPE as sent, parentheses included. */
  readonly envelope: Uint8Array;
  /** The message itself: its header starts where the outer part's body does. */
  readonly part: Part;
}
