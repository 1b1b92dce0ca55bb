/**
 * What FETCH needs of contents besides the columns, loaded for a batch of messages at once: ENVELOPE, BODYSTRUCTURE and
 * BODY through the process's caches, layout and structure for sections. A content that is gone (its message was expunged
 * and collected) is undefined, and the message is left out of the answer.
 */

import { Fault } from '../mail/errors.ts';
import type { AccountId, ContentId } from '../mail/ids.ts';
import { bodyBytes } from '../mime/bodystructure.ts';
import { decodeStructure } from '../mime/structure-code.ts';
import type { Content, ContentField, MailStoreReader } from '../ports/mail-store.ts';
import type { ColumnsCache } from './columns-cache.ts';
import type { ContentCache } from './content-cache.ts';

export interface ContentNeeds {
  readonly envelope: boolean;
  readonly bodystructure: boolean;
  readonly body: boolean;
  /** Of the sections' contents; never cached: they are read once for each body. */
  readonly sections: readonly ContentField[];
}

/** What was loaded for one batch, in its order; undefined where a content is gone. */
export interface LoadedContents {
  readonly envelope: readonly (Uint8Array | undefined)[];
  readonly bodystructure: readonly (Uint8Array | undefined)[];
  readonly body: readonly (Uint8Array | undefined)[];
  readonly sections: readonly (Content | undefined)[];
}

export class ContentLoader {
  readonly #store: MailStoreReader;
  readonly #account: AccountId;
  readonly #caches: Pick<ColumnsCache, 'envelopes' | 'bodystructures' | 'bodies'>;
  readonly #needs: ContentNeeds;

  constructor(
    store: MailStoreReader,
    account: AccountId,
    caches: Pick<ColumnsCache, 'envelopes' | 'bodystructures' | 'bodies'>,
    needs: ContentNeeds,
  ) {
    this.#store = store;
    this.#account = account;
    this.#caches = caches;
    this.#needs = needs;
  }

  async load(ids: readonly ContentId[]): Promise<LoadedContents> {
    const { envelopes, bodystructures, bodies } = this.#caches;
    const { envelope, bodystructure, body, sections } = this.#needs;
    const rendered = ({ structure }: Content): Uint8Array => bodyBytes(decodeStructure(structure));
    return {
      envelope: envelope ? await this.#cached(ids, envelopes, 'envelope', (content) => content.envelope) : [],
      bodystructure: bodystructure
        ? await this.#cached(ids, bodystructures, 'bodystructure', (content) => content.bodystructure)
        : [],
      body: body ? await this.#cached(ids, bodies, 'structure', rendered) : [],
      sections: sections.length > 0 ? await this.#store.contents(this.#account, ids, sections) : [],
    };
  }

  async #cached(
    ids: readonly ContentId[],
    cache: ContentCache,
    field: ContentField,
    make: (content: Content) => Uint8Array,
  ): Promise<(Uint8Array | undefined)[]> {
    const found = ids.map((id) => cache.get(this.#account, id));
    const missing: number[] = [];
    for (let i = 0; i < ids.length; i++) if (found[i] === undefined) missing.push(i);
    if (missing.length === 0) return found;
    const contents = await this.#store.contents(
      this.#account,
      missing.map((i) => ids[i]!),
      [field],
    );
    for (let i = 0; i < missing.length; i++) {
      const content = contents[i];
      if (content === undefined) continue;
      const bytes = make(content);
      if (bytes.length === 0) throw new Fault('a stored content lacks a field', { content: content.id, field });
      cache.set(this.#account, content.id, bytes);
      found[missing[i]!] = bytes;
    }
    return found;
  }
}
