/** What a node without the gateway still answers: health, readiness, metrics, and the command's control socket. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { contextOf } from '../mixins/context.ts';
import { sendProblem } from '../mixins/rest/api-handler.ts';
import { openControl } from '../mixins/rest/control.ts';
import { closeServers, listenHttp } from '../mixins/rest/listen.ts';
import { operationRoutes } from '../mixins/rest/operations.ts';
import { httpServer } from '../mixins/rest/request-listener.ts';

export const service: ServiceSchema = {
  name: 'health',
  async started() {
    const { broker } = this;
    const context = contextOf(broker);
    const routes = operationRoutes(broker);
    const pathOf = (req: IncomingMessage): string => (req.url ?? '/').split('?', 1)[0]!;
    const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
      try {
        const route = routes[`GET ${pathOf(req)}`];
        if (route === undefined) throw new ClientError('notFound', { what: 'path' });
        await route(req, res);
      } catch (error) {
        sendProblem(broker, res, error);
      }
    };
    await context.doorsOpen;
    const control = await openControl(broker);
    const servers: Server[] = control === null ? [] : [control];
    this.servers = servers;
    const { httpPort } = context.config;
    if (httpPort === null) return;
    const server = httpServer({
      handle: (req, res) => void handle(req, res),
      methodsOf: (path) => (routes[`GET ${path}`] === undefined ? [] : ['GET']),
    });
    await listenHttp(context, server, httpPort);
    servers.push(server);
  },
  async stopped() {
    await closeServers(contextOf(this.broker), (this.servers ?? []) as readonly Server[]);
  },
};
