import pino, { type Logger } from 'pino';
import { AppError } from '../Models/errors.ts';
import { openLogFile } from '../Storage/log_file.ts';

/** What the daemon's parts may say, and to whom: never a secret, a password or a ticket. */
export type AuthLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Name, code, message and stack of an error and its causes: not its other fields, where a library may keep what it was given. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error ? error.code : undefined;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { type: error.name, code, message: error.message, stack: error.stack, cause };
}

/**
 * JSON lines in `auth.log` of the folder, warnings and worse also on standard error. A log that can no longer be written is said there once and
 * stops nothing.
 * @throws AppError `config_invalid` when the log cannot be opened
 */
export function openLog({ logs, logLevel }: { readonly logs: string; readonly logLevel: string }): Logger {
  try {
    const onFailure = ({ message }: Error): void => void process.stderr.write(`driftless auth: the log cannot be written: ${message}\n`);
    const file = openLogFile({ folder: logs, name: 'auth', onFailure });
    const streams = pino.multistream([
      { level: 'trace', stream: file },
      { level: 'warn', stream: process.stderr },
    ]);
    return pino({ ...LOG_FORM, level: logLevel }, streams);
  } catch (cause) {
    throw new AppError('config_invalid', `cannot write logs in ${logs}`, { cause });
  }
}

/** How whatever is logged is written down, wherever that goes. */
export const LOG_FORM = { name: 'auth', serializers: { err: describeError } } as const;
