import type { IncomingMessage } from 'node:http';
import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AppError } from '../../Models/errors.ts';
import { type ArrivingFile, eventText } from '../../Models/events.ts';
import { LIMITS } from '../../Models/limits.ts';
import { EventsQuery } from '../../Models/rest_events.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Follower, Following } from '../../Storage/following.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { Publications } from '../../Storage/publications.ts';
import type { Authenticate } from '../authenticate.ts';
import { sendProblem, toAppError } from '../http_errors.ts';
import { PROBLEMS } from '../openapi.ts';
import type { ChangeFanOut } from './events_fan_out.ts';
import { CLOSE, EventLink } from './events_link.ts';
import { ChangeStream } from './events_stream.ts';
import type { Presence } from './presence.ts';
import type { StateNews } from './state_news.ts';

/** Between two readings of the sessions, two pings of one client, and two looks at who is to be pinged. */
type Times = { readonly checkMs: number; readonly pingMs: number; readonly pingCheckMs: number };
const TIMES: Times = { checkMs: LIMITS.eventCheckMs, pingMs: LIMITS.eventPingMs, pingCheckMs: 1000 };

export type EventRouteDeps = {
  readonly changes: ChangeFanOut;
  readonly following: Pick<Following, 'follow'>;
  readonly presence: Pick<Presence, 'arrive'>;
  readonly states: Pick<StateNews, 'follow'>;
  /** Of each publication, under its id, the connections on which its device can be asked. */
  readonly serving: Pick<Presence, 'arrive'>;
  readonly publications: Pick<Publications, 'own'>;
  readonly authenticate: Authenticate;
};

/** Every other request that asks to become something else is answered as if it had not asked. */
export function isEventUpgrade({ method, url, headers }: IncomingMessage): boolean {
  return method === 'GET' && url?.split('?', 1)[0] === ROUTES.events && headers.upgrade?.toLowerCase() === 'websocket';
}

/** The connection on which a client hears that there is something new. */
export async function registerEventRoute(app: FastifyInstance, deps: EventRouteDeps, times: Times = TIMES): Promise<void> {
  const links = new Links(deps, times);
  // in a scope of its own: the plugin looks at every route that is added after it
  await app.register(async (scope) => {
    await scope.register(websocket, {
      options: { maxPayload: LIMITS.eventMessageBytesMax, clientTracking: false },
      errorHandler(error, socket, request) {
        request.log.debug({ err: error }, 'event connection broke');
        socket.terminate();
      },
      preClose: (done) => {
        links.close();
        done();
      },
    });
    // a connection that was refused before the plugin saw it is nobody's: the HTTP server gave it away
    scope.addHook('onResponse', async ({ raw }) => {
      if (isEventUpgrade(raw)) raw.socket.destroySoon();
    });
    scope.withTypeProvider<ZodTypeProvider>().route({
      method: 'GET',
      url: ROUTES.events,
      schema: {
        summary: 'A WebSocket that says when to ask for changes, or with `since` tells them',
        querystring: EventsQuery,
        response: {
          101: { description: 'Messages, see docs/PROTOCOL.md', content: { 'application/json': { schema: z.any() } } },
          ...PROBLEMS,
        },
      },
      preHandler: async (request, reply) => {
        if (!request.ws) return refusePlain(request, reply);
        const { principal } = await deps.authenticate(request);
        links.assertRoomFor(principal);
        const { since, serves = null } = request.query;
        if (serves !== null) await deps.publications.own(principal, serves);
        const follower = since === undefined ? null : await deps.following.follow(principal, since === 'start' ? null : since);
        links.admit(request, { who: principal, follower, serves });
      },
      handler: async (request, reply) => refusePlain(request, reply),
      wsHandler: (socket, request) => links.open(socket, request),
    });
  });
}

function refusePlain(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const headers = { upgrade: 'websocket', connection: 'upgrade' };
  return sendProblem(request, reply, new AppError('request_invalid', 'this route is a WebSocket'), { status: 426, headers });
}

type OpenLink = {
  readonly link: EventLink;
  readonly request: FastifyRequest;
  /** To be called once in a while. */
  readonly look: () => void;
  pingAtMs: number;
  readonly endsAtMs: number;
};

/** `serves`: id of a publication. */
type Admitted = { readonly who: Principal; readonly follower: Follower | null; readonly serves: string | null };

function endAll(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end();
  };
}

/** The connections that are open. */
class Links {
  readonly #deps: EventRouteDeps;
  readonly #open = new Map<WebSocket, OpenLink>();
  readonly #admitted = new WeakMap<FastifyRequest, Admitted>();
  readonly #perUser = new Map<string, number>();
  readonly #times: Times;
  readonly #timers: readonly NodeJS.Timeout[];
  #closed = false;

  constructor(deps: EventRouteDeps, times: Times) {
    this.#deps = deps;
    this.#times = times;
    this.#timers = [
      setInterval(() => this.#checkSessions(), times.checkMs).unref(),
      setInterval(() => this.#keepUp(performance.now()), times.pingCheckMs).unref(),
    ];
  }

  /** The request may become a connection. */
  admit(request: FastifyRequest, admitted: Admitted): void {
    this.#admitted.set(request, admitted);
  }

  /** @throws AppError `busy`, `too_many_requests` */
  assertRoomFor({ userId }: Principal): void {
    if (this.#closed || this.#open.size >= LIMITS.eventLinksMax) throw new AppError('busy', 'too many event connections at once');
    if ((this.#perUser.get(userId) ?? 0) >= LIMITS.eventLinksPerUserMax) {
      throw new AppError('too_many_requests', `one user has at most ${LIMITS.eventLinksPerUserMax} event connections`);
    }
  }

  open(socket: WebSocket, request: FastifyRequest): void {
    const admitted = this.#admitted.get(request);
    if (admitted === undefined) throw new Error('nobody was admitted');
    const { who, serves } = admitted;
    this.assertRoomFor(who); // again: others may have come meanwhile
    const { userId } = who;
    const nowMs = performance.now();
    const link = new EventLink(socket);
    const { look, end } = this.#begin(link, admitted, request);
    const outlet = (text: string): boolean => link.post(text);
    const leave = this.#deps.presence.arrive(who, outlet);
    const stopServing = serves === null ? null : this.#deps.serving.arrive({ ...who, deviceId: serves }, outlet);
    this.#open.set(socket, { link, request, look, pingAtMs: nowMs + this.#times.pingMs, endsAtMs: nowMs + LIMITS.streamTimeoutMs });
    this.#perUser.set(userId, (this.#perUser.get(userId) ?? 0) + 1);
    socket.on('message', () => link.received());
    socket.on('ping', () => link.received());
    socket.on('pong', () => link.answered());
    socket.once('close', () => {
      end();
      leave();
      stopServing?.();
      link.gone();
      this.#open.delete(socket);
      const left = (this.#perUser.get(userId) ?? 1) - 1;
      if (left > 0) this.#perUser.set(userId, left);
      else this.#perUser.delete(userId);
    });
  }

  /** @returns `end` ends what was begun */
  #begin(link: EventLink, { who: { userId }, follower }: Admitted, request: FastifyRequest): { look: () => void; end: () => void } {
    const { changes, states } = this.#deps;
    if (follower === null) {
      link.greet();
      const post = (file: ArrivingFile): void => void link.post(eventText({ type: 'arriving', ...file }));
      return { look: () => undefined, end: endAll([changes.subscribe(userId, (at) => link.tell(at)), changes.hearArriving(userId, post)]) };
    }
    const stream = new ChangeStream(link, follower, (err) => request.log.warn({ err }, 'changes could not be told'));
    const ends = [changes.follow(userId, (news) => stream.hear(news)), states.follow(userId, (text) => link.post(text))];
    return { look: () => stream.look(), end: endAll(ends) };
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const { link } of this.#open.values()) link.close(CLOSE.goingAway, '');
  }

  #keepUp(nowMs: number): void {
    for (const open of this.#open.values()) {
      if (nowMs >= open.endsAtMs) open.link.close(CLOSE.goingAway, '');
      else if (nowMs >= open.pingAtMs) {
        open.pingAtMs = nowMs + this.#times.pingMs;
        open.link.ping();
        open.look();
      }
    }
  }

  #checkSessions(): void {
    for (const { link, request } of this.#open.values()) {
      this.#deps.authenticate(request).catch((error: unknown) => {
        const { code } = toAppError(error);
        link.close(code === 'storage_unavailable' ? CLOSE.tryLater : CLOSE.refused, code);
      });
    }
  }
}
