import { AppError } from '../Models/errors.ts';

const SQLITE_PRIMARY = { busy: 5, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const;

function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  return error.errcode & 0xff; // the extended code's low byte is the primary one
}

function sqlState(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** True when the same transaction may succeed if it is run again: serialization failure, deadlock. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

/** True when a write or sync of the database file itself failed: what was acknowledged later might not survive, so nothing may be. */
export function isFatalForWrites(error: unknown): boolean {
  const code = sqliteCode(error instanceof AppError ? error.cause : error);
  return code === SQLITE_PRIMARY.ioError || code === SQLITE_PRIMARY.corrupt || code === SQLITE_PRIMARY.notADatabase;
}

/** The typed form of what SQLite, pg or the network reported; anything else (a programmer's mistake) is given back as it is. */
export function databaseError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const sqlite = sqliteCode(error);
  const state = sqlState(error) ?? '';
  const cause = { cause: error };
  if (sqlite === SQLITE_PRIMARY.full || state === '53100') return new AppError('storage_full', 'the database has no space left', cause);
  if (sqlite === SQLITE_PRIMARY.corrupt || sqlite === SQLITE_PRIMARY.notADatabase || state.startsWith('XX00')) {
    return new AppError('corrupt', 'the database is damaged', cause);
  }
  if (sqlite === SQLITE_PRIMARY.busy || sqlite === SQLITE_PRIMARY.ioError || sqlite === SQLITE_PRIMARY.cantOpen) {
    return new AppError('storage_unavailable', 'the database cannot be read or written now', cause);
  }
  // PostgreSQL: connection exceptions, insufficient resources, operator intervention, timeouts; and the network's own codes
  if (/^(08|53|57|55P03)/.test(state) || /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENOENT|ENOTFOUND|EAI_)/.test(state)) {
    return new AppError('storage_unavailable', 'the database does not answer', cause);
  }
  if (error instanceof Error && /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)) {
    return new AppError('storage_unavailable', 'the database does not answer', cause);
  }
  return error;
}
