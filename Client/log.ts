import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from 'pino';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export const LEVELS: readonly Level[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** Facts only: never a password, ticket, key or the arguments of a command, which may hold one. */
export type Log = Readonly<Record<'debug' | 'info' | 'warn' | 'error', (facts: Record<string, unknown>, message: string) => Promise<void>>>;

/**
 * JSON lines in `file`. Neither pino nor the file is touched before the first line that is to be written.
 * Never throws: a full disk or a folder without rights must not fail the command that is being logged.
 */
export function createLog({ file, level }: { file: string; level: Level }): Log {
  let logger: Promise<Logger | null> | undefined;
  const open = async (): Promise<Logger> => {
    const { pino } = await import('pino');
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const destination = pino.destination({ dest: file, mode: 0o600, sync: true });
    destination.on('error', () => undefined);
    return pino({ level, base: { pid: process.pid } }, destination);
  };
  const at = (of: 'debug' | 'info' | 'warn' | 'error') => async (facts: Record<string, unknown>, message: string) => {
    if (LEVELS.indexOf(of) < LEVELS.indexOf(level)) return;
    logger ??= open().catch(() => null);
    (await logger)?.[of](facts, message);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
