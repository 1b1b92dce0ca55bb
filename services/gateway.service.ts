/** The REST gateway: administration, health, metrics, the API's description, and the command's control socket. */

import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { ServiceSchema } from 'moleculer';
import ApiGateway from 'moleculer-web';
import type { ApiAction } from '../mixins/api.ts';
import { contextOf } from '../mixins/context.ts';
import { apiHandler, sendJson, sendProblem } from '../mixins/rest/api-handler.ts';
import { apiPage } from '../mixins/rest/api-page.ts';
import { openControl } from '../mixins/rest/control.ts';
import { closeServers, listenHttp } from '../mixins/rest/listen.ts';
import { openApi, type RestAction } from '../mixins/rest/openapi.ts';
import { operationRoutes } from '../mixins/rest/operations.ts';
import { rawGet, rawPut } from '../mixins/rest/raw-handlers.ts';
import { httpServer } from '../mixins/rest/request-listener.ts';
import { restActions } from '../mixins/rest/rest-actions.ts';

const RAW = '/v1/accounts/:account/mailboxes/:mailbox/messages';

const onError = (_: unknown, res: ServerResponse & { $service?: { broker: never } }, error: unknown): void =>
  sendProblem(res.$service!.broker, res, error);

export const service: ServiceSchema = {
  name: 'gateway',
  mixins: [ApiGateway as unknown as ServiceSchema],
  settings: {
    server: false,
    routes: [],
    logRequest: null,
    logResponse: null,
    log4XXResponses: false,
    onError,
  } as ServiceSchema['settings'] & object,
  async started() {
    const { broker } = this;
    const context = contextOf(broker);
    const actions: readonly RestAction[] = restActions(broker);
    const document = openApi(actions, context.version);
    const page = apiPage(document);
    const shown = {
      'GET /openapi.json': (_: unknown, res: ServerResponse) => sendJson(res, 200, document),
      'GET /': (_: unknown, res: ServerResponse) => {
        res.writeHead(200, {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        });
        res.end(page);
      },
    };
    const byAction = Object.fromEntries(
      actions.map((rest) => [(rest.action as ApiAction).api.rest!, apiHandler(broker, rest)]),
    );
    const raw = { [`GET ${RAW}/:uid/raw`]: rawGet(broker), [`POST ${RAW}/raw`]: rawPut(broker) };
    this.addRoute({
      // One route only: a second one of the same path would take the first one's place.
      path: '/',
      aliases: { ...operationRoutes(broker), ...shown, ...byAction, ...raw },
      // Bodies are read by the handlers, once they know who asks.
      bodyParsers: false,
      mappingPolicy: 'restrict',
      onError,
      authentication: false,
    });

    await context.doorsOpen;
    const control = await openControl(broker);
    const servers: Server[] = control === null ? [] : [control];
    this.servers = servers;
    const { httpPort } = context.config;
    if (httpPort === null) return;
    const aliases = this.aliases as readonly { readonly re: RegExp; readonly method: string }[];
    const server = httpServer({
      handle: this.httpHandler as RequestListener,
      methodsOf: (path) => aliases.filter(({ re }) => re.test(path)).map(({ method }) => method),
    });
    await listenHttp(context, server, httpPort);
    servers.push(server);
  },
  async stopped() {
    await closeServers(contextOf(this.broker), (this.servers ?? []) as readonly Server[]);
  },
};
