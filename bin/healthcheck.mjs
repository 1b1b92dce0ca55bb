/**
 * Asks the server of this machine one question over HTTP and ends with 0 for yes and 1 for no: a container's health check
 * without any other program. The first argument is the path, /readyz where there is none. Plain JavaScript, because it
 * runs every few seconds and should load nothing but Node's own modules.
 */

import { get } from 'node:http';

const TIMEOUT_MS = 3_000;

const request = get(
  {
    host: '127.0.0.1',
    port: process.env.MAILMESH_HTTP_PORT ?? '8080',
    path: process.argv[2] ?? '/readyz',
    timeout: TIMEOUT_MS,
  },
  (response) => process.exit(response.statusCode === 200 ? 0 : 1),
);
request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
request.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
