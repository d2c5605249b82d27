import type { RestOnline } from '../Models/rest_events.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

/** What happens now. Errors as of `Driftless`; what else, each says. */
export type EventMethods = {
  /** Devices with an event connection (a sync that watches, `events --follow`): the user's own, and those of users who share a folder with them. */
  online(): Promise<RestOnline[]>;
};

export function eventMethods(http: Http): EventMethods {
  const call = restCaller(http, () => import('../Models/rest_events.ts'));
  return {
    online: async () => (await call(({ OnlineList }) => ({ schema: OnlineList, method: 'GET', route: ROUTES.online }))).devices,
  };
}
