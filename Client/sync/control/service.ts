import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../../Models/errors.ts';

/** A systemd user service that syncs all known folders. It goes on with the session in the profile: no password is in it. */

export type ServicePlace = {
  /** XDG_CONFIG_HOME, or ~/.config. */
  readonly configHome: string;
  /** DRIFTLESS_HOME: folder of the profile. */
  readonly home: string;
  /** What is started: the runtime and the program. */
  readonly program: readonly string[];
  readonly user: string;
};

/** Runs a program to its end. @returns its exit code and what it printed; `null`: there is no such program */
export type RunProgram = (words: readonly string[]) => Promise<{ code: number; out: string } | null>;

export type ServiceReport = {
  readonly unit: string; // path
  /** What was done, a line each, in this order. */
  readonly done: readonly string[];
  /** What is left to a person, a command or a sentence each. */
  readonly left: readonly string[];
};

const UNIT = 'driftless.service';

function unitPath({ configHome }: ServicePlace): string {
  return join(configHome, 'systemd', 'user', UNIT);
}

/** A word as systemd reads it: quoted, specifiers and variables taken literally. */
function quoted(word: string): string {
  const literal = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return `"${literal}"`;
}

export function unitText({ home, program }: ServicePlace): string {
  if ([home, ...program].some((word) => /[\n\r]/.test(word)))
    throw new AppError('request_invalid', 'a path with a line break cannot be in a unit');
  return `[Unit]
Description=Driftless: keeps folders in sync

[Service]
ExecStart=${[...program, 'sync'].map(quoted).join(' ')}
Environment=${quoted(`DRIFTLESS_HOME=${home}`).replaceAll('$$', '$')}
Restart=on-failure
RestartSec=30
# not logged in, or nothing to sync: a person must act first
RestartPreventExitStatus=3 4
# it keeps what it holds small by itself; this is for when it does not
MemoryMax=1G
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`;
}

/** Writes the unit and starts it where systemd answers. Safe to repeat. @throws AppError `local_io` */
export async function installService(place: ServicePlace, run: RunProgram): Promise<ServiceReport> {
  const unit = unitPath(place);
  const text = unitText(place);
  const done: string[] = [];
  const left: string[] = [];
  if ((await readFile(unit, 'utf8').catch(() => null)) === text) done.push(`${unit} is there already`);
  else {
    await writeUnit(unit, text);
    done.push(`wrote ${unit}`);
  }
  const missing = await firstFailure(run, [
    ['systemctl', '--user', 'daemon-reload'],
    ['systemctl', '--user', 'enable', UNIT],
    ['systemctl', '--user', 'restart', UNIT],
  ]);
  if (missing === null) done.push('enabled and started it');
  else left.push(`systemctl --user daemon-reload && systemctl --user enable --now ${UNIT}   (it did not answer here: ${missing})`);
  const linger = await run(['loginctl', 'show-user', place.user, '--property=Linger']);
  if (linger?.out.trim() !== 'Linger=yes')
    left.push(`loginctl enable-linger ${place.user}   (so that it runs while you are not logged in)`);
  return { unit, done, left };
}

/** Stops it and takes the unit away; the folders stay as they are. Safe to repeat. @throws AppError `local_io` */
export async function removeService(place: ServicePlace, run: RunProgram): Promise<ServiceReport> {
  const unit = unitPath(place);
  const done: string[] = [];
  const left: string[] = [];
  if ((await readFile(unit).catch(() => null)) === null) return { unit, done: [`${unit} was not there`], left };
  const missing = await firstFailure(run, [['systemctl', '--user', 'disable', '--now', UNIT]]);
  if (missing === null) done.push('stopped and disabled it');
  else left.push(`systemctl --user stop ${UNIT}   (it did not answer here: ${missing})`);
  await rm(unit, { force: true }).catch(asLocal(unit));
  done.push(`removed ${unit}`);
  const reloaded = await run(['systemctl', '--user', 'daemon-reload']);
  if (reloaded?.code !== 0) left.push('systemctl --user daemon-reload');
  return { unit, done, left };
}

/** @returns why the first one that failed did, in one line; `null`: none did */
async function firstFailure(run: RunProgram, commands: readonly (readonly string[])[]): Promise<string | null> {
  for (const words of commands) {
    const result = await run(words);
    if (result === null) return `there is no ${words[0]}`;
    if (result.code !== 0) return result.out.trim().split('\n')[0] || `exit code ${result.code}`;
  }
  return null;
}

async function writeUnit(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'w', 0o644);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    asLocal(path)(cause);
  }
}

function asLocal(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new AppError('local_io', `cannot write ${path} (${(cause as NodeJS.ErrnoException).code})`, { cause });
  };
}

const PROGRAM_MS_MAX = 30_000;

/** As `RunProgram`, for real. */
export const runProgram: RunProgram = ([program = '', ...words]) =>
  new Promise((resolve) => {
    execFile(program, words, { timeout: PROGRAM_MS_MAX }, (error, stdout, stderr) => {
      if (error === null) return resolve({ code: 0, out: stdout });
      if (error.code === 'ENOENT') return resolve(null);
      resolve({ code: typeof error.code === 'number' ? error.code : 1, out: stderr || stdout });
    });
  });
