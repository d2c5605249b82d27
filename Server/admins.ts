import { prepareUserName } from '../Models/credentials.ts';
import { AppError } from '../Models/errors.ts';
import type { Session } from './tickets.ts';

/** Whether somebody may do what is for administrators. */
export type IsAdmin = (session: Pick<Session, 'claims'>) => boolean;

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
