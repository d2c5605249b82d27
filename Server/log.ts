import pino, { type Logger } from 'pino';
import { AppError } from '../Models/errors.ts';
import { openLogFile } from '../Storage/log_file.ts';
import type { ServerConfig } from './config.ts';

/**
 * JSON lines in `server.log` of the log folder; warnings and worse also on standard error.
 * Nothing of a request is logged by itself: its headers and its query may hold secrets.
 * A log that can no longer be written is said there once and fails no request.
 * @throws AppError `config_invalid` when the log cannot be opened
 */
export function openLog({ logFolder, logLevel }: Pick<ServerConfig, 'logFolder' | 'logLevel'>): Logger {
  try {
    const onFailure = ({ message }: Error): void => void process.stderr.write(`driftless server: the log cannot be written: ${message}\n`);
    const file = openLogFile({ folder: logFolder, name: 'server', onFailure });
    const streams = [
      { level: logLevel, stream: file },
      { level: 'warn' as const, stream: process.stderr },
    ];
    return pino({ ...LOG_FORM, level: logLevel }, pino.multistream(streams));
  } catch (cause) {
    throw new AppError('config_invalid', `cannot write logs in ${logFolder}`, { cause });
  }
}

/** Name, code, message and stack of an error and its causes: not its other fields, where a library may keep what it was given. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = 'code' in error ? error.code : undefined;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { type: error.name, code, message: error.message, stack: error.stack, cause };
}

/** What is no error is told in single values: a library that tells of an object at `trace` tells of the headers in it. */
function flat(told: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(told).filter(([name, value]) => name === 'err' || typeof value !== 'object' || value === null));
}

/** How whatever is logged is written down, wherever that goes. */
export const LOG_FORM = { name: 'server', serializers: { err: describeError }, formatters: { log: flat } } as const;
