import type { FastifyInstance } from 'fastify';
import { LIMITS } from '../Models/limits.ts';
import type { InvitedReader } from '../Storage/invite_codes.ts';
import type { Quotas } from '../Storage/quota.ts';
import type { Authenticate } from './authenticate.ts';

export type InvitedQuotaDeps = {
  readonly quotas: Pick<Quotas, 'setFirstLimits'>;
  readonly accounts: InvitedReader;
  readonly authenticate: Authenticate;
};

/**
 * What an invitation allows is a user's limit before the first thing they do here, unless an administrator has set their limits before. The daemon,
 * which knows the invitation, cannot write it. Asked once for each user; a request waits for it, and fails with it.
 */
export function registerInvitedQuota(app: FastifyInstance, { quotas, accounts, authenticate }: InvitedQuotaDeps): void {
  const known = new Map<string, Promise<void>>();

  async function apply(userId: string): Promise<void> {
    const quotaBytes = await accounts.invitedQuota(userId);
    if (quotaBytes !== null) await quotas.setFirstLimits(userId, { quotaBytes });
  }

  app.addHook('onRequest', async (request) => {
    if (request.userId === null) return;
    const { userId } = (await authenticate(request)).principal;
    const before = known.get(userId);
    if (before !== undefined) return before;
    if (known.size >= LIMITS.usersRememberedMax) known.clear();
    const done = apply(userId);
    known.set(userId, done);
    done.catch(() => known.delete(userId));
    await done;
  });
}
