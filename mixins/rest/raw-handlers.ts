/** Messages byte for byte over HTTP: streamed from and to the blob store, never through the broker. */

import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { ServiceBroker } from 'moleculer';
import { readLayout } from '../../core/mail/layout.ts';
import { contextOf } from '../context.ts';
import { call } from '../contracts.ts';
import { findAccount, findMailbox, findMessage } from '../find-message.ts';
import { storeBlob } from '../store-blob.ts';
import { type ApiRequest, authorize, once, repetitionKey, sendJson, sendProblem } from './api-handler.ts';
import { checkLength, pieces } from './read-body.ts';

/** Streams one message; problems before the first byte are problem details. */
export async function sendMessage(
  broker: ServiceBroker,
  res: ServerResponse,
  name: { readonly account: string; readonly mailbox: string; readonly uid: number },
): Promise<void> {
  const { stores } = contextOf(broker);
  const { content } = await findMessage(stores, name.account, name.mailbox, name.uid, ['layout', 'size']);
  res.writeHead(200, { 'content-type': 'message/rfc822', 'content-length': content.size, 'cache-control': 'no-store' });
  await pipeline(readLayout(stores.blobs, content.layout), res);
}

export const rawGet = (broker: ServiceBroker) => async (req: ApiRequest, res: ServerResponse) => {
  try {
    await authorize(broker, req, 'read');
    const { account, mailbox, uid } = req.$params as Record<string, string>;
    await sendMessage(broker, res, { account: account!, mailbox: mailbox!, uid: Number(uid) });
  } catch (error) {
    sendProblem(broker, res, error);
  }
};

export const rawPut = (broker: ServiceBroker) => async (req: ApiRequest, res: ServerResponse) => {
  try {
    const keyId = await authorize(broker, req, 'admin');
    const { stores, config } = contextOf(broker);
    const { account, mailbox } = req.$params as Record<string, string>;
    // Before the bytes: what goes nowhere is not stored.
    await findMailbox(stores.mail, (await findAccount(stores.directory, account!)).id, mailbox!);
    checkLength(req, config.sizeBytesMax);
    const { blob, sizeBytes } = await storeBlob(stores.blobs, pieces(req), config.sizeBytesMax);
    const request = `message.put ${account} ${mailbox} ${blob}`;
    const repetition = repetitionKey(req, keyId);
    // Also a try that took too long to be answered may have put the message there.
    const dedupe = repetition === undefined ? {} : { dedupe: `rest ${repetition}` };
    const answer = await once(broker, req, keyId, { request, secret: false }, () =>
      call(broker, 'message.append', { account: account!, mailbox: mailbox!, blob, sizeBytes, ...dedupe }),
    );
    sendJson(res, 201, answer);
  } catch (error) {
    sendProblem(broker, res, error);
  }
};
