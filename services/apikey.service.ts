/** Keys of the REST API. The secret is shown once; only its hash is kept. */

import { createHash, randomBytes } from 'node:crypto';
import type { ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { base32 } from '../core/mail/ids.ts';
import type { ApiKey } from '../core/ports/directory.ts';
import { api, PAGE, pageOf, text } from '../mixins/api.ts';

const view = ({ hash: _, ...shown }: ApiKey): Omit<ApiKey, 'hash'> => shown;

export const service: ServiceSchema = {
  name: 'apikey',
  actions: {
    create: api(
      'apikey.create',
      {
        rest: 'POST /v1/apikeys',
        scope: 'admin',
        summary: 'Make a key; its secret is shown in this answer only',
        answer: 'NewApiKey',
        creates: true,
        secret: true,
      },
      { name: text({ max: 100 }), scope: { type: 'enum', values: ['admin', 'read'] } },
      async (params, { stores, now }) => {
        const secret = `mm_${base32(randomBytes(32))}`;
        const key: ApiKey = {
          id: base32(randomBytes(10)),
          name: params.name,
          scope: params.scope,
          hash: createHash('sha256').update(secret).digest('hex'),
          createdAt: now(),
          revoked: false,
        };
        await stores.directory.addApiKey(key);
        return { ...view(key), secret };
      },
    ),
    list: api(
      'apikey.list',
      { rest: 'GET /v1/apikeys', scope: 'admin', summary: 'Keys without their secrets', answer: 'ApiKey', page: true },
      PAGE,
      async (params, { stores }) => pageOf((await stores.directory.apiKeys()).map(view), (key) => key.id, params),
    ),
    revoke: api(
      'apikey.revoke',
      { rest: 'DELETE /v1/apikeys/:id', scope: 'admin', summary: 'Revoke a key for good' },
      { id: text({ max: 100 }) },
      async (params, { stores }) => {
        if (!(await stores.directory.revokeApiKey(params.id)))
          throw new ClientError('notFound', { what: 'key', id: params.id });
        return { revoked: true };
      },
    ),
  },
};
