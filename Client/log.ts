import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** As in pino's lines, so that what reads the servers' logs reads these. */
const NUMBERS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 70 } as const;

export type Level = keyof typeof NUMBERS;
export const LEVELS = Object.keys(NUMBERS) as readonly Level[];

/** Facts only: never a password, ticket, key or the arguments of a command, which may hold one. */
export type Log = Readonly<Record<'debug' | 'info' | 'warn' | 'error', (facts: Record<string, unknown>, message: string) => void>>;

/**
 * JSON lines in `file`, which is not touched before the first line that is to be written. By hand, for it is one line of most commands, and to load pino
 * for it takes an eighth of such a command.
 * Never throws: a full disk or a folder without rights must not fail the command that is being logged.
 */
export function createLog({ file, level }: { file: string; level: Level }): Log {
  const at = (of: 'debug' | 'info' | 'warn' | 'error') => (facts: Record<string, unknown>, message: string) => {
    if (NUMBERS[of] < NUMBERS[level]) return;
    const line = { level: NUMBERS[of], time: Date.now(), pid: process.pid, ...facts, msg: message };
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      appendFileSync(file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    } catch {
      // there is nowhere else to say it
    }
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
