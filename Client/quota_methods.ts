import type { RestLimits, RestUsage } from '../Models/rest_quota.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

/** How much is stored, and may be. Errors as of `Driftless`; what else, each says. */
export type QuotaMethods = {
  /** Bytes: live, in older versions, in the trash, in what others share; and the quota, which live bytes count against. */
  usage(): Promise<RestUsage>;
  /** What an administrator set for a user, or for everybody. @throws AppError `forbidden` (not an administrator), `user_unknown` */
  limits(user?: string): Promise<RestLimits>;
  /** Sets what is given, for a user or for everybody. @throws AppError as `limits`, `request_invalid` */
  setLimits(limits: Partial<RestLimits>, user?: string): Promise<RestLimits>;
};

export function quotaMethods(http: Http): QuotaMethods {
  const call = restCaller(http, () => import('../Models/rest_quota.ts'));
  return {
    usage: () => call(({ RestUsage }) => ({ schema: RestUsage, method: 'GET', route: ROUTES.usage })),
    limits: (user) => call(({ RestLimits }) => ({ schema: RestLimits, method: 'GET', route: ROUTES.limits, query: { user } })),
    setLimits: (limits, user) =>
      call(({ RestLimits }) => ({ schema: RestLimits, method: 'POST', route: ROUTES.limits, body: { ...limits, user } })),
  };
}
