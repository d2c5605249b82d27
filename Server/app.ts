import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import multipart from '@fastify/multipart';
import type { Registry } from '@prometheus-io/client';
import fastify, {
  type FastifyBaseLogger,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { ChunkStore } from '../Storage/chunk_store.ts';
import type { DeleteScope } from '../Storage/delete_scope.ts';
import type { EventMarks } from '../Storage/event_marks.ts';
import type { Following } from '../Storage/following.ts';
import type { History } from '../Storage/history.ts';
import type { Links } from '../Storage/links.ts';
import type { Metadata } from '../Storage/metadata.ts';
import type { Notices } from '../Storage/notices.ts';
import type { Publications } from '../Storage/publications.ts';
import type { Quotas } from '../Storage/quota.ts';
import type { Search } from '../Storage/search.ts';
import type { Companions } from '../Storage/space_readers.ts';
import type { Statistics } from '../Storage/statistics.ts';
import type { SyncReports } from '../Storage/sync_reports.ts';
import type { SyncStates } from '../Storage/sync_states.ts';
import type { Webhooks } from '../Storage/webhooks.ts';
import { adminGate, type IsAdmin } from './admins.ts';
import { ANSWER_HEADERS } from './answer_headers.ts';
import type { AuthCarrier } from './auth_carrier.ts';
import { registerAuthRoute } from './auth_routes.ts';
import type { Authenticate } from './authenticate.ts';
import { registerChangeRoutes } from './change_routes.ts';
import { exemptFrom, limitConnections } from './connection_limits.ts';
import { registerApprovalRoute } from './delete_approval_route.ts';
import { DeleteFuse } from './delete_fuse.ts';
import { holdingDeletes } from './delete_holding.ts';
import { registerEntryRoutes } from './entry_routes.ts';
import { registerDeviceWatch } from './events/device_watch.ts';
import { registerEventMarkRoutes } from './events/event_mark_routes.ts';
import type { ChangeFanOut } from './events/events_fan_out.ts';
import { isEventUpgrade, registerEventRoute } from './events/events_routes.ts';
import { Presence } from './events/presence.ts';
import { tellPresence } from './events/presence_news.ts';
import { registerPresenceRoutes } from './events/presence_routes.ts';
import { StateNews } from './events/state_news.ts';
import { registerFileRoutes } from './file_routes.ts';
import { registerFindRoutes } from './find_routes.ts';
import { type Readiness, registerHealthRoutes } from './health_routes.ts';
import { registerHistoryRoutes } from './history/history_routes.ts';
import { registerPlanRoutes } from './history/plan_routes.ts';
import { PROBLEM_TYPE, problemOf, sendProblem, toAppError } from './http_errors.ts';
import { registerInvitedQuota } from './invited_quota.ts';
import { registerLinkRoutes } from './link_routes.ts';
import { countingOperations, registerMetrics } from './metrics.ts';
import { DOCS_PREFIX, registerOpenApi } from './openapi.ts';
import { registerProfileRoutes } from './profile_routes.ts';
import { PublishedNews } from './published/published_news.ts';
import { registerPublishedRoutes } from './published/published_routes.ts';
import { registerRelayRoutes } from './published/relay_routes.ts';
import { Relays } from './published/relays.ts';
import { registerQuotaRoutes } from './quota_routes.ts';
import { registerReceiptRoutes } from './receipt_routes.ts';
import { onRequestEnd } from './request_end.ts';
import { registerRequestRules, setAnswerHeaders } from './request_rules.ts';
import { registerSessionRoutes } from './session_routes.ts';
import { registerShareRoutes } from './share_routes.ts';
import { registerSlowRequests } from './slow_requests.ts';
import { registerSyncStateRoute } from './sync_state_routes.ts';
import { registerTicketKeyRoute } from './ticket_key_route.ts';
import type { TicketKeys } from './tickets.ts';
import type { TlsIdentity } from './tls_identity.ts';
import { httpsServers } from './tls_server.ts';
import { registerTransferRoutes } from './transfer/transfer_routes.ts';
import { createTurns } from './turns.ts';
import { createLinkPasswords } from './visits/link_secrets.ts';
import { registerVisitRoutes } from './visits/visit_routes.ts';
import type { WebhookHosts } from './webhook_addresses.ts';
import type { WebhookDelivery } from './webhooks/webhook_delivery.ts';
import { registerWebhookRoutes } from './webhooks/webhook_routes.ts';

type RouteLine = { readonly method: string; readonly url: string; readonly public: boolean };
declare module 'fastify' {
  interface FastifyInstance {
    /** Every route there is. */
    readonly routeTable: readonly RouteLine[];
  }
}

export type AppDeps = {
  readonly metadata: Metadata;
  readonly history: History;
  readonly chunks: ChunkStore;
  readonly syncStates: SyncStates;
  readonly syncReports: SyncReports;
  readonly deleteScope: DeleteScope;
  readonly notices: Notices;
  readonly following: Following;
  readonly eventMarks: EventMarks;
  readonly companionsOf: Companions;
  readonly webhooks: Webhooks;
  readonly webhookHosts: WebhookHosts;
  readonly webhookDelivery: Pick<WebhookDelivery, 'refresh'>;
  readonly accounts: Pick<
    AccountsReader,
    'findUser' | 'invitedQuota' | 'userProfile' | 'displayNames' | 'devices' | 'listDevices' | 'listSessions'
  >;
  readonly search: Search;
  readonly publications: Publications;
  readonly statistics: Statistics;
  readonly links: Links;
  readonly quotas: Quotas;
  readonly authenticate: Authenticate;
  readonly isAdmin: IsAdmin;
  readonly audit: Pick<Audit, 'record'>;
  readonly ticketKeys: Pick<TicketKeys, 'published'>;
  /** Where committed changes are heard of. */
  readonly changes: ChangeFanOut;
  readonly readiness: Readiness;
  readonly processMetrics: Registry;
  readonly log: FastifyBaseLogger;
  /** Milliseconds of a clock that is never set. */
  readonly monotonicMs: () => number;
  /** Listening on loopback only: then only loopback names are taken as Host. */
  readonly loopbackOnly: boolean;
  /** To the authentication daemon. */
  readonly carrier: Pick<AuthCarrier, 'carry'>;
  /** Whose word counts for where a request came from: addresses and networks. */
  readonly trustedProxies: readonly string[];
  /** Who the server is on HTTPS, or `null` for plain HTTP. */
  readonly tls: TlsIdentity | null;
};

/** The server apart from its listening. Closing it does not close what it was given. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const app = fastify(serverOptions(deps));
  app.server.maxConnections = LIMITS.connectionsMax;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, toAppError(error)));
  const answerNotFound = registerNotFound(app);
  registerParsers(app);
  await app.register(multipart);
  const metrics = registerMetrics(app, deps.processMetrics);
  registerRequestLog(app);
  registerSlowRequests(app, deps.monotonicMs);
  registerRequestRules(app, { ...deps, answerNotFound, connections: limitConnections(app.server, exemptFrom(deps.trustedProxies)) });
  registerDeviceWatch(app, deps);
  registerInvitedQuota(app, deps);
  await registerOpenApi(app);

  const metadata = countingOperations(deps.metadata, metrics.operations);
  const inTurn = createTurns({ most: LIMITS.longRequestsMax, each: LIMITS.longRequestsPerUserMax });
  const inSearchTurn = createTurns({ most: LIMITS.searchesMax, each: LIMITS.searchesPerUserMax });
  const routeDeps = {
    ...deps,
    metadata,
    metrics,
    inTurn,
    inSearchTurn,
    linkPasswords: createLinkPasswords(),
    requireAdmin: adminGate(deps),
  };
  registerHealthRoutes(app, routeDeps);
  registerAuthRoute(app, deps);
  registerTicketKeyRoute(app, routeDeps);
  registerEntryRoutes(app, routeDeps);
  registerFileRoutes(app, routeDeps);
  registerFindRoutes(app, routeDeps);
  registerQuotaRoutes(app, routeDeps);
  registerChangeRoutes(app, routeDeps);
  registerHistoryRoutes(app, routeDeps);
  const presence = new Presence();
  const states = new StateNews(deps.log);
  tellPresence({ ...routeDeps, presence, states });
  const serving = new Presence(); // of each publication, under its id, the connections on which its device can be asked
  const news = new PublishedNews({ ...routeDeps, presence, serving });
  app.addHook('onClose', async () => {
    presence.close();
    serving.close();
    await Promise.all([news.settled(), states.settled()]);
  });
  await registerEventRoute(app, { ...routeDeps, presence, states, serving });
  registerEventMarkRoutes(app, routeDeps);
  registerWebhookRoutes(app, routeDeps);
  registerPresenceRoutes(app, { ...routeDeps, presence });
  registerSessionRoutes(app, routeDeps);
  registerProfileRoutes(app, routeDeps);
  registerPlanRoutes(app, routeDeps);
  registerPublishedRoutes(app, { ...routeDeps, serving, news });
  registerRelayRoutes(app, { ...routeDeps, relays: new Relays(serving) });
  registerReceiptRoutes(app, { ...routeDeps, presence, states });
  registerShareRoutes(app, routeDeps);
  registerLinkRoutes(app, routeDeps);
  await registerVisitRoutes(app, routeDeps);
  registerSyncStateRoute(app, routeDeps);
  const fuse = new DeleteFuse(deps.deleteScope.livingFiles, deps.monotonicMs);
  registerApprovalRoute(app, { ...routeDeps, fuse });
  registerTransferRoutes(app, { ...routeDeps, commitPushed: holdingDeletes({ ...routeDeps, fuse }) });
  app.get(ROUTES.openapi, { config: { public: true }, schema: { hide: true } }, async () => app.swagger());
  await app.ready();
  return app;
}

function serverOptions({ log, tls, trustedProxies }: AppDeps): FastifyHttpOptions<RawServerDefault, FastifyBaseLogger> {
  const http = {
    headersTimeout: LIMITS.headersTimeoutMs,
    maxHeaderSize: LIMITS.headerBytesMax,
    connectionsCheckingInterval: 5000,
    shouldUpgradeCallback: isEventUpgrade,
  };
  const timeouts = {
    requestTimeout: LIMITS.streamTimeoutMs,
    connectionTimeout: LIMITS.idleSocketTimeoutMs,
    keepAliveTimeout: LIMITS.keepAliveTimeoutMs,
    maxRequestsPerSocket: LIMITS.requestsPerSocketMax,
  };
  return {
    ...timeouts,
    ...(trustedProxies.length > 0 && { trustProxy: [...trustedProxies] }),
    ...(tls === null ? { http } : { serverFactory: httpsServers(tls, { ...http, ...timeouts }) }),
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    // ours are set behind this; without a word here those for JSON schemas would be loaded
    schemaController: { compilersFactory: { buildValidator: neverAsked, buildSerializer: neverAsked } },
    requestIdHeader: false,
    genReqId: () => randomUUID(),
    bodyLimit: LIMITS.jsonBodyBytesMax,
    exposeHeadRoutes: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerMalformed,
    frameworkErrors: (error, request, reply) => {
      setAnswerHeaders(request, reply);
      sendProblem(request, reply, toAppError(error));
    },
    routerOptions: { maxParamLength: 64 },
  };
}

function neverAsked(): never {
  throw new Error('there is a validator and a serializer for all routes');
}

/** JSON; a route that takes something else adds the parser for it. */
function registerParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'));
}

/** Remembers the routes as they are added. @returns what answers a request for none of them */
function registerNotFound(app: FastifyInstance): (request: FastifyRequest, reply: FastifyReply) => FastifyReply {
  const routes: RouteLine[] = [];
  app.decorate('routeTable', routes);
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith(DOCS_PREFIX)) route.config = { ...route.config, public: true };
    for (const method of [route.method].flat()) routes.push({ method, url: route.url, public: route.config?.public === true });
  });
  const answer = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = request.url.split('?', 1)[0];
    const allowed = routes.filter(({ url }) => url === path).map(({ method }) => method);
    if (allowed.length === 0) return sendProblem(request, reply, new AppError('not_found', 'there is no such route'));
    const allow = allowed.join(', ');
    return sendProblem(request, reply, new AppError('method_unknown', `this route takes ${allow}`), { headers: { allow } });
  };
  app.setNotFoundHandler(answer);
  return answer;
}

/** One line for each request: never its headers, its query or its body. */
function registerRequestLog(app: FastifyInstance): void {
  onRequestEnd(app, ({ routeOptions, method, userId, log }, { elapsedTime }, status) => {
    log.info({ route: routeOptions.url ?? null, method, status, ms: Math.round(elapsedTime), user: userId }, 'request');
  });
}

/** A request that is not HTTP, or too slow, has no route and no reply: answered on the bare connection. */
function answerMalformed(this: FastifyInstance, error: Error & { code?: string }, socket: Socket): void {
  this.log.debug({ code: error.code }, 'malformed request');
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const failure = MALFORMED[error.code ?? ''] ?? MALFORMED_OTHER;
  const body = JSON.stringify(problemOf(new AppError(failure.code, failure.message), randomUUID(), failure.status));
  const headers = { ...ANSWER_HEADERS, 'content-type': PROBLEM_TYPE, 'content-length': Buffer.byteLength(body), connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${failure.status} ${failure.message}\r\n${lines.join('')}\r\n${body}`);
}

const MALFORMED: Readonly<Record<string, { readonly status: number; readonly code: ErrorCode; readonly message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'too_large', message: 'Request Header Fields Too Large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'upload_interrupted', message: 'Request Timeout' },
};
const MALFORMED_OTHER = { status: 400, code: 'request_invalid', message: 'Bad Request' } as const;
