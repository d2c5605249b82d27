import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { LIMITS } from '../../Models/limits.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { Notices } from '../../Storage/notices.ts';
import type { Authenticate } from '../authenticate.ts';

export type DeviceWatchDeps = {
  readonly notices: Pick<Notices, 'deviceSeen'>;
  readonly accounts: Pick<AccountsReader, 'devices'>;
  readonly authenticate: Authenticate;
  readonly log: FastifyBaseLogger;
};

/** Has it noted which devices ask something, so that a user hears of a new one. No request waits for it; what fails is tried with the next. */
export function registerDeviceWatch(app: FastifyInstance, { notices, accounts, authenticate, log }: DeviceWatchDeps): void {
  const seen = new Set<string>();
  const noting = new Set<Promise<void>>();

  async function note(who: Principal, key: string): Promise<void> {
    try {
      const [device] = await accounts.devices([who]);
      await notices.deviceSeen(who, device?.name ?? '');
    } catch (err) {
      seen.delete(key);
      log.warn({ err, user: who.userId }, 'a device could not be noted');
    }
  }

  app.addHook('onRequest', async (request) => {
    if (request.userId === null) return;
    const { principal } = await authenticate(request);
    const key = `${principal.userId} ${principal.deviceId}`;
    if (seen.has(key)) return;
    if (seen.size >= LIMITS.devicesRememberedMax) seen.clear();
    seen.add(key);
    const done = note(principal, key).finally(() => noting.delete(done));
    noting.add(done);
  });
  app.addHook('onClose', async () => void (await Promise.all(noting)));
}
