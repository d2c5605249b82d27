import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { LimitsBody, LimitsQuery, RestLimits, RestUsage } from '../Models/rest_quota.ts';
import { ROUTES } from '../Models/routes.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { Limits, Quotas } from '../Storage/quota.ts';
import type { RequireAdmin } from './admins.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';
import type { Turns } from './turns.ts';

export type QuotaRouteDeps = {
  readonly quotas: Quotas;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly requireAdmin: RequireAdmin;
  readonly audit: Pick<Audit, 'record'>;
  readonly authenticate: Authenticate;
  readonly inTurn: Turns;
};

/** How much one stores and may store; and for administrators, how much others may. */
export function registerQuotaRoutes(plain: FastifyInstance, deps: QuotaRouteDeps): void {
  const { quotas, accounts, requireAdmin, authenticate, audit, inTurn } = deps;
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const named = async (name: string | undefined): Promise<{ readonly id: string | null; readonly name: string | null }> => {
    if (name === undefined) return EVERYBODY;
    const user = await accounts.findUser(name);
    if (user === null) throw new AppError('user_unknown', 'there is no such user');
    return user;
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
      await requireAdmin(request);
      return restLimits(await quotas.limits((await named(request.query.user)).id));
    },
  );
  app.post(
    ROUTES.limits,
    { schema: { summary: 'Set some of it; for administrators', body: LimitsBody, response: { 200: RestLimits, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await requireAdmin(request);
      const { user, quota, fileSize, allowed, refused } = request.body;
      const wanted: { -readonly [Name in keyof Limits]?: Limits[Name] } = {};
      if (quota !== undefined) wanted.quotaBytes = quota;
      if (fileSize !== undefined) wanted.fileBytes = fileSize;
      if (allowed !== undefined) wanted.allowed = allowed;
      if (refused !== undefined) wanted.refused = refused;
      const { id: userId, name: userName } = await named(user);
      const limits = restLimits(await quotas.setLimits(userId, wanted));
      const concerned = { userId, userName, by: principal.userName, deviceId: principal.deviceId, address: request.ip };
      const { user: _, ...asked } = request.body;
      audit.record({
        what: 'limits_changed',
        result: 'ok',
        ...concerned,
        detail: `${user === undefined ? 'everybody: ' : ''}${JSON.stringify(asked)}`,
      });
      return limits;
    },
  );
}

const EVERYBODY = { id: null, name: null };

function restLimits({ quotaBytes, fileBytes, allowed, refused }: Limits): RestLimits {
  return {
    quota: quotaBytes,
    fileSize: fileBytes,
    allowed: allowed === null ? null : [...allowed],
    refused: refused === null ? null : [...refused],
  };
}
