import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { LIMITS } from '../../Models/limits.ts';
import { OnlineList } from '../../Models/rest_events.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Companions } from '../../Storage/space_readers.ts';
import type { Authenticate } from '../authenticate.ts';
import { PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';
import type { OnlineDevice, Presence } from './presence.ts';

export type PresenceRouteDeps = {
  readonly presence: Pick<Presence, 'online'>;
  readonly companionsOf: Companions;
  readonly accounts: Pick<AccountsReader, 'devices'>;
  readonly authenticate: Authenticate;
};

/** Who is online, of those who share a folder with the caller now, and of the caller's own devices. */
export function registerPresenceRoutes(app: FastifyInstance, { presence, companionsOf, accounts, authenticate }: PresenceRouteDeps): void {
  app
    .withTypeProvider<ZodTypeProvider>()
    .get(
      ROUTES.online,
      { schema: { summary: 'Who is online, of those you share a folder with', response: { 200: OnlineList, ...PROBLEMS } } },
      async (request) => {
        const { userId } = (await authenticate(request)).principal;
        const devices = presence.online(new Set([userId, ...(await companionsOf(userId))]));
        const names = await namesOf(accounts, devices);
        return {
          devices: devices
            .map((device) => ({
              user: device.userName,
              device: device.deviceId,
              name: names.get(keyOf(device)) ?? '',
              since: isoFromMilliseconds(device.sinceMs),
              own: device.userId === userId,
            }))
            .sort((a, b) => Number(b.own) - Number(a.own) || (a.user < b.user ? -1 : a.user > b.user ? 1 : a.since < b.since ? -1 : 1)),
        };
      },
    );
}

const keyOf = ({ userId, deviceId }: { readonly userId: string; readonly deviceId: string }): string => `${userId} ${deviceId}`;

async function namesOf(accounts: PresenceRouteDeps['accounts'], devices: readonly OnlineDevice[]): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (let at = 0; at < devices.length; at += LIMITS.devicesAskedMax) {
    for (const device of await accounts.devices(devices.slice(at, at + LIMITS.devicesAskedMax))) names.set(keyOf(device), device.name);
  }
  return names;
}
