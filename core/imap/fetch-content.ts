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
  /** Layout and structure, for sections; never cached: they are read once for each body. */
  readonly sections: boolean;
}

/** The contents of one batch, by id. */
export class LoadedContents {
  readonly envelopes = new Map<ContentId, Uint8Array>();
  readonly bodystructures = new Map<ContentId, Uint8Array>();
  readonly bodies = new Map<ContentId, Uint8Array>();
  readonly sections = new Map<ContentId, Content>();
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
    const loaded = new LoadedContents();
    const { envelopes, bodystructures, bodies } = this.#caches;
    const whole = (field: 'envelope' | 'bodystructure') => (content: Content) => content[field];
    if (this.#needs.envelope) await this.#cached(ids, envelopes, loaded.envelopes, 'envelope', whole('envelope'));
    if (this.#needs.bodystructure) {
      await this.#cached(ids, bodystructures, loaded.bodystructures, 'bodystructure', whole('bodystructure'));
    }
    if (this.#needs.body) {
      await this.#cached(ids, bodies, loaded.bodies, 'structure', ({ structure }) =>
        bodyBytes(decodeStructure(structure)),
      );
    }
    if (this.#needs.sections) {
      for (const content of await this.#store.contents(this.#account, ids, ['layout', 'structure', 'size'])) {
        if (content !== undefined) loaded.sections.set(content.id, content);
      }
    }
    return loaded;
  }

  async #cached(
    ids: readonly ContentId[],
    cache: ContentCache,
    into: Map<ContentId, Uint8Array>,
    field: ContentField,
    make: (content: Content) => Uint8Array,
  ): Promise<void> {
    const missing: ContentId[] = [];
    for (const id of ids) {
      const bytes = cache.get(this.#account, id);
      if (bytes === undefined) missing.push(id);
      else into.set(id, bytes);
    }
    if (missing.length === 0) return;
    for (const content of await this.#store.contents(this.#account, missing, [field])) {
      if (content === undefined) continue;
      const bytes = make(content);
      if (bytes.length === 0) throw new Fault('a stored content lacks a field', { content: content.id, field });
      cache.set(this.#account, content.id, bytes);
      into.set(content.id, bytes);
    }
  }
}
