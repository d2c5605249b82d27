import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { LimitsBody, LimitsQuery, RestLimits, RestUsage } from '../Models/rest_quota.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Limits, Quotas } from '../Storage/quota.ts';
import type { IsAdmin } from './admins.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';
import type { Turns } from './turns.ts';

export type QuotaRouteDeps = {
  readonly quotas: Quotas;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly isAdmin: IsAdmin;
  readonly authenticate: Authenticate;
  readonly inTurn: Turns;
};

/** How much one stores and may store; and for administrators, how much others may. */
export function registerQuotaRoutes(plain: FastifyInstance, { quotas, accounts, isAdmin, authenticate, inTurn }: QuotaRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const idOf = async (name: string | undefined): Promise<string | null> => {
    if (name === undefined) return null;
    const user = await accounts.findUser(name);
    if (user === null) throw new AppError('user_unknown', 'there is no such user');
    return user.id;
  };
  app.get(
    ROUTES.usage,
    { schema: { summary: 'How much you store, and may', response: { 200: RestUsage, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const used = await inTurn(principal.userId, () => quotas.usage(principal));
      const { quotaBytes, liveBytes, versionsBytes, trashBytes, sharedBytes } = used;
      return { quota: quotaBytes, live: liveBytes, versions: versionsBytes, trash: trashBytes, shared: sharedBytes };
    },
  );
  app.get(
    ROUTES.limits,
    {
      schema: {
        summary: 'What a user may store, or everybody; for administrators',
        querystring: LimitsQuery,
        response: { 200: RestLimits, ...PROBLEMS },
      },
    },
    async (request) => {
      requireAdmin(isAdmin, await authenticate(request));
      return restLimits(await quotas.limits(await idOf(request.query.user)));
    },
  );
  app.post(
    ROUTES.limits,
    { schema: { summary: 'Set some of it; for administrators', body: LimitsBody, response: { 200: RestLimits, ...PROBLEMS } } },
    async (request) => {
      requireAdmin(isAdmin, await authenticate(request));
      const { user, quota, fileSize, allowed, refused } = request.body;
      const wanted: { -readonly [Name in keyof Limits]?: Limits[Name] } = {};
      if (quota !== undefined) wanted.quotaBytes = quota;
      if (fileSize !== undefined) wanted.fileBytes = fileSize;
      if (allowed !== undefined) wanted.allowed = allowed;
      if (refused !== undefined) wanted.refused = refused;
      return restLimits(await quotas.setLimits(await idOf(user), wanted));
    },
  );
}

function requireAdmin(isAdmin: IsAdmin, session: Parameters<IsAdmin>[0]): void {
  if (!isAdmin(session)) throw new AppError('forbidden', 'this is for administrators');
}

function restLimits({ quotaBytes, fileBytes, allowed, refused }: Limits): RestLimits {
  return {
    quota: quotaBytes,
    fileSize: fileBytes,
    allowed: allowed === null ? null : [...allowed],
    refused: refused === null ? null : [...refused],
  };
}
