/** mailparser as oracle: on well-formed messages both read the same subjects, addresses, texts and attachments. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { describeMessage } from '../../core/mime/describe.ts';
import { partFilename } from '../../core/mime/parameters.ts';
import type { Part } from '../../core/mime/part.ts';
import { partText, textParts } from '../../core/mime/text.ts';
import { decodeTransfer } from '../../core/mime/transfer.ts';

const word = fc
  .string({ unit: fc.constantFrom(...'abcXYZ019 äöüß€語.,;\'"()<>@-_=?/%'), minLength: 1, maxLength: 40 })
  .map((text) => `w${text.trim()}w`);
const MAIL = fc.record({
  subject: word,
  text: fc.array(word, { minLength: 1, maxLength: 5 }).map((lines) => lines.join('\n')),
  html: fc.option(
    word.map((text) => `<p>${text.replace(/[<>&]/g, '')}</p>`),
    { nil: undefined },
  ),
  attachments: fc.array(
    fc.record({
      filename: word.map((name) => `${name.replace(/["\\/]/g, '')}.bin`),
      content: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      contentType: fc.constantFrom('application/octet-stream', 'image/png', 'application/pdf'),
    }),
    { maxLength: 3 },
  ),
});

const leaves = (part: Part): Part[] => (part.children.length === 0 ? [part] : part.children.flatMap(leaves));
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const lines = (text: string): string => text.replace(/\r\n/g, '\n').trimEnd();

test('generated messages are read as mailparser reads them', async () => {
  await fc.assert(
    fc.asyncProperty(MAIL, async (mail) => {
      const { html, ...rest } = mail;
      const addresses = { from: '"Jü, Q" <a@b.example>', to: 'c@d.example' };
      const options = { ...addresses, ...rest, ...(html === undefined ? {} : { html }) };
      const message = await new MailComposer(options).compile().build();
      const expected = await simpleParser(message, {
        skipTextToHtml: true,
        skipHtmlToText: true,
        skipImageLinks: true,
        skipTextLinks: true,
      });
      const description = await describeMessage([message]);
      assert.equal(description.subject, expected.subject?.slice(0, 200));
      assert.equal(description.messageId, expected.messageId);
      assert.equal(description.sentAt, expected.date!.getTime() / 1000);
      const texts = textParts(description.root).map((part) =>
        partText(part, message.subarray(part.bodyStart, part.bodyEnd)),
      );
      assert.equal(lines(texts[0]!), lines(expected.text!));
      if (mail.html !== undefined) assert.equal(lines(texts[1]!), lines(String(expected.html)));
      const attachments = leaves(description.root).filter((part) => part.disposition?.type === 'attachment');
      assert.deepEqual(
        attachments.map((part) => [
          partFilename(part),
          `${part.type}/${part.subtype}`,
          sha(decodeTransfer(message.subarray(part.bodyStart, part.bodyEnd), part.encoding)),
        ]),
        expected.attachments.map((attachment) => [
          attachment.filename,
          attachment.contentType,
          sha(attachment.content),
        ]),
      );
    }),
    { numRuns: 150 },
  );
});
