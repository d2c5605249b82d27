import type { RestEvent, RestOnline } from '../Models/rest_events.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import type { Access } from './http_connect.ts';
import { restCaller } from './rest_call.ts';

/** `since`: a cursor; `start`; `now`, which is the default; or `done`: what this device has not marked yet. */
export type EventsOptions = { readonly since?: string; readonly signal?: AbortSignal };

/** What happens now. Errors as of `Driftless`; what else, each says. */
export type EventMethods = {
  /**
   * What happened behind `since` and then as it happens, each once, over as many connections as it takes, until `signal` or `break`. Changes and notices
   * (`invited`, `held`, `device` and so on) have a cursor to go on from. Without one are states, told to who is connected: `presence` tells who came and
   * went, `published` what others publish, `synced` how far a device of the user is with a folder it keeps.
   * @throws AppError `cursor_invalid`
   */
  events(options?: EventsOptions): AsyncIterable<RestEvent>;
  /** Marks everything up to this cursor as processed by this device; kept by the server. @returns up to where it is now. @throws AppError `cursor_invalid` */
  eventsDone(cursor: string): Promise<string>;
  /** Up to where this device has processed what happened; `null` if it never marked anything. */
  doneMark(): Promise<string | null>;
  /** Devices with an event connection (a sync that watches, `events --follow`): the user's own, and those of users who share a folder with them. */
  online(): Promise<RestOnline[]>;
  /** How long one request takes, and the time by the server's clock. */
  ping(): Promise<{ readonly ms: number; readonly at: string }>;
};

export function eventMethods(http: Http, access: Access): EventMethods {
  const call = restCaller(http, () => import('../Models/rest_events.ts'));
  const doneMark = async () => (await call(({ DoneMark }) => ({ schema: DoneMark, method: 'GET', route: ROUTES.eventsDone }))).cursor;
  const check = (after: string | null) =>
    http.json(null, 'GET', ROUTES.changes, { query: { ...(after === null ? {} : { after }), limit: 1 } });
  return {
    async *events({ since = 'now', signal } = {}) {
      const { streamEvents } = await import('./event_stream.ts');
      const from = since === 'done' ? ((await doneMark()) ?? 'start') : since;
      yield* streamEvents({ access, check }, from, signal);
    },
    eventsDone: async (cursor) =>
      (await call(({ DoneResult }) => ({ schema: DoneResult, method: 'POST', route: ROUTES.eventsDone, body: { cursor } }))).cursor,
    doneMark,
    online: async () => (await call(({ OnlineList }) => ({ schema: OnlineList, method: 'GET', route: ROUTES.online }))).devices,
    async ping() {
      const begun = performance.now();
      const { at } = await call(({ PingResult }) => ({ schema: PingResult, method: 'GET', route: ROUTES.ping }));
      return { ms: performance.now() - begun, at };
    },
  };
}
