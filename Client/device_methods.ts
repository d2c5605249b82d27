import type { RestDevice, RestSession } from '../Models/rest_sessions.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';
import type { Session } from './session/session.ts';

/** The user's devices and sessions. What is changed is asked of the authentication daemon. Errors as of `Driftless`; what else, each says. */
export type DeviceMethods = {
  /** The one seen last first. */
  devices(): Promise<RestDevice[]>;
  /** It keeps the name, also when it logs in again. @param id 32 hex digits. @throws AppError `not_found`, `name_invalid` */
  renameDevice(id: string, name: string): Promise<void>;
  /** Ends all its sessions, at the server within two seconds; it is an unknown device until it logs in again with the password. @throws AppError `not_found` */
  revokeDevice(id: string): Promise<void>;
  /** Those that have not ended, the one seen last first. */
  sessions(): Promise<RestSession[]>;
  /** Ends one, at the server within two seconds. @throws AppError `not_found` */
  endSession(id: string): Promise<void>;
};

export function deviceMethods(http: Http, session: Pick<Session, 'change'>): DeviceMethods {
  const call = restCaller(http, () => import('../Models/rest_sessions.ts'));
  return {
    devices: async () => (await call(({ DeviceList }) => ({ schema: DeviceList, method: 'GET', route: ROUTES.devices }))).devices,
    renameDevice: (deviceId, name) => session.change({ kind: 'renameDevice', deviceId, name }),
    revokeDevice: (deviceId) => session.change({ kind: 'revokeDevice', deviceId }),
    sessions: async () => (await call(({ SessionList }) => ({ schema: SessionList, method: 'GET', route: ROUTES.sessions }))).sessions,
    endSession: (sessionId) => session.change({ kind: 'endSession', sessionId }),
  };
}
