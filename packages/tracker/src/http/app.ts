import type { Server } from 'node:https';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { AppError, type Clock, type Logger } from '@sealift/core';
import { type TlsMaterial, trackerServerOptions } from '@sealift/pki';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
} from 'fastify';
import type { TrackerLimits } from '../config.ts';
import { limitConnections } from './connection-limiter.ts';
import { failureOf } from './failure.ts';
import { RunningCalls } from './running-calls.ts';

/** The tracker's HTTP application. */
export type App = FastifyInstance<
  Server,
  RawRequestDefaultExpression<Server>,
  RawReplyDefaultExpression<Server>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** Longest body of a call, in bytes: a join with the longest Authorization and a signing request. */
const BODY_LIMIT = 64 * 1024;
/** Longest head of a request, in bytes: a grant and the query of an announce fit three times. */
const MAX_HEADER_BYTES = 16 * 1024;
/** How often slow senders are looked for, in ms. */
const TIMEOUT_CHECK_MS = 1_000;
/**
 * Longest wait at the end for calls that run, in ms: with what the seeder brings to the disk after it, less than the ten
 * seconds that Docker gives to a container.
 */
const STOP_TIMEOUT_MS = 3_000;

/** An application without routes: HTTPS, limits, and errors that tell strangers no more than they need. */
export async function createApp({
  tls,
  limits,
  clock,
  log,
}: {
  tls: TlsMaterial;
  limits: TrackerLimits;
  clock: Clock;
  log: Logger;
}): Promise<App> {
  const app: App = Fastify({
    https: {
      ...trackerServerOptions(tls),
      handshakeTimeout: limits.handshakeTimeoutMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, limits.headersTimeoutMs),
    },
    logger: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    forceCloseConnections: true,
    // A header must not change who asks: limits count by the connection's own address.
    trustProxy: false,
    // A HEAD of an announce would announce.
    exposeHeadRoutes: false,
    // The one route with a query reads it itself, because its values are bytes.
    routerOptions: { querystringParser: () => ({}) },
    // For what fails before there is a route, such as an address with broken escapes.
    frameworkErrors: (error, _request, reply) => {
      const { status, body } = failureOf(error);
      reply.hijack();
      reply.raw.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.headersTimeout = limits.headersTimeoutMs;
  const connections = limitConnections(app.server, { limits, clock });
  const calls = new RunningCalls(app.server);
  app.server.on('tlsClientError', (_error, socket) => socket.destroy());
  app.addHook('preClose', async () => {
    connections.refuseNew();
    // A runtime waits for each join, and would have to go to the registry for want of its answer.
    await calls.finished({ timeoutMs: STOP_TIMEOUT_MS });
    connections.cutAll();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    void reply.header('cache-control', 'no-store');
    done();
  });
  app.setNotFoundHandler(() => {
    throw new AppError('NOT_FOUND');
  });
  app.setErrorHandler((error, request, reply) => {
    const { status, body, isFault } = failureOf(error);
    // The route and not the address: a query may hold what a node did not mean to show.
    if (isFault) log.error('request_failed', { method: request.method, route: request.routeOptions.url, error });
    return reply.code(status).send(body);
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Sealift tracker', version: '1', description: 'Enrolment, rights and announces of one cluster.' },
      components: {
        securitySchemes: {
          // @ts-expect-error OpenAPI 3.1 knows it, the types of openapi-types do not.
          certificate: { type: 'mutualTLS', description: 'A node certificate of the cluster' },
          grant: { type: 'http', scheme: 'bearer', description: 'A grant for the swarm, bound to the certificate' },
          admin: { type: 'http', scheme: 'bearer', description: 'The admin token of the tracker' },
        },
      },
    },
  });
  return app;
}
