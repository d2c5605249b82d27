import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { DeviceList, SessionList } from '../Models/rest_sessions.ts';
import { ROUTES } from '../Models/routes.ts';
import type { SessionsReader } from '../Storage/sessions.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

export type SessionRouteDeps = {
  readonly accounts: Pick<SessionsReader, 'listDevices' | 'listSessions'>;
  readonly authenticate: Authenticate;
};

/** The caller's own devices and sessions. Only the authentication daemon changes them. */
export function registerSessionRoutes(plain: FastifyInstance, { accounts, authenticate }: SessionRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.devices,
    { schema: { summary: 'Your devices, the one seen last first', response: { 200: DeviceList, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const devices = await accounts.listDevices(principal.userId);
      return {
        devices: devices.map(({ deviceId, name, signedIn, firstSeenMs, lastSeenMs, revokedAtMs }) => ({
          id: deviceId,
          name,
          firstSeenAt: isoFromMilliseconds(firstSeenMs),
          lastSeenAt: isoFromMilliseconds(lastSeenMs),
          signedIn,
          revokedAt: revokedAtMs === 0 ? null : isoFromMilliseconds(revokedAtMs),
          own: deviceId === principal.deviceId,
        })),
      };
    },
  );
  app.get(
    ROUTES.sessions,
    { schema: { summary: 'Your sessions that have not ended, the one seen last first', response: { 200: SessionList, ...PROBLEMS } } },
    async (request) => {
      const { principal, claims } = await authenticate(request);
      const sessions = await accounts.listSessions(principal.userId);
      return {
        sessions: sessions.map(({ id, deviceId, deviceName, interactive, createdAtMs, lastSeenMs }) => ({
          id,
          device: deviceId,
          deviceName,
          interactive,
          beganAt: isoFromMilliseconds(createdAtMs),
          lastSeenAt: isoFromMilliseconds(lastSeenMs),
          own: id === claims.sid,
        })),
      };
    },
  );
}
