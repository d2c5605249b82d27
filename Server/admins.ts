import type { FastifyRequest } from 'fastify';
import { prepareUserName } from '../Models/credentials.ts';
import { AppError } from '../Models/errors.ts';
import type { Audit } from '../Storage/audit.ts';
import type { Authenticate } from './authenticate.ts';
import type { Session } from './tickets.ts';

/** Whether somebody may do what is for administrators. */
export type IsAdmin = (session: Pick<Session, 'claims'>) => boolean;

/** The administrator who asks. @throws AppError `forbidden`, which is written down, and as `Authenticate` */
export type RequireAdmin = (request: FastifyRequest) => Promise<Session>;

export function adminGate(deps: {
  readonly authenticate: Authenticate;
  readonly isAdmin: IsAdmin;
  readonly audit: Pick<Audit, 'record'>;
}): RequireAdmin {
  return async (request) => {
    const session = await deps.authenticate(request);
    if (deps.isAdmin(session)) return session;
    deps.audit.record({
      what: 'forbidden',
      result: 'forbidden',
      ...session.principal,
      address: request.ip,
      detail: request.routeOptions.url,
    });
    throw new AppError('forbidden', 'this is for administrators');
  };
}

/** @param names of users that count as administrators besides those whose ticket says so */
export function adminsNamed(names: readonly string[]): IsAdmin {
  const named = new Set(names.map(preparedName));
  return ({ claims }) => claims.role === 'admin' || named.has(claims.name);
}

/** @throws AppError `config_invalid` */
function preparedName(name: string): string {
  try {
    return prepareUserName(name);
  } catch (cause) {
    throw new AppError('config_invalid', 'DRIFTLESS_ADMINS: user names, divided by commas', { cause });
  }
}
