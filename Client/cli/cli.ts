import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { AppError } from '../../Models/errors.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import { visible } from '../../Models/visible.ts';
import type { Driftless } from '../client.ts';
import { createLog, LEVELS, type Level, type Log } from '../log.ts';
import type { Run, Settings } from './command.ts';
import { handleInterrupts } from './interrupts.ts';
import { COMMANDS, type ProgramDeps, runWords } from './program.ts';
import type { ShellDeps } from './shell.ts';

const SHELL_ABOUT = `The same words as on the command line, and: upload (put), download (get), delete (rm), list (ls), quit.
connect (a new session, online, and publish what was published last), list_my_files, list_all_files, download_file USER FILE (fetch), disconnect.
'…' and "…" keep words together. Reads commands from a pipe too, and then ends with the code of the first one that failed.
The shell has a session of its own, which the server ends when nothing is done for a while (100 s, or DRIFTLESS_IDLE_TIMEOUT of the daemon): you are
told so within four seconds, and "connect" begins another. What syncs or is published goes on.`;

const SHELL_WORDS = [
  { name: 'connect', summary: 'be online, and publish what was published last' },
  { name: 'disconnect', summary: 'be online no more' },
] as const;

/** The command line's main: reads the environment, puts the parts together, sets the exit code. */
export async function main(words: readonly string[]): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(); // `driftless ls | head`: the reader has seen enough
    throw error;
  });
  const settings: Settings = {
    home: process.env.DRIFTLESS_HOME || join(homedir(), '.driftless'),
    auth: process.env.DRIFTLESS_AUTH || undefined,
    server: process.env.DRIFTLESS_SERVER || undefined,
    password: process.env.DRIFTLESS_PASSWORD || undefined,
    newPassword: process.env.DRIFTLESS_NEW_PASSWORD || undefined,
    linkPassword: process.env.DRIFTLESS_LINK_PASSWORD || undefined,
    configHome: process.env.XDG_CONFIG_HOME || join(homedir(), '.config'),
    program: [process.execPath, fileURLToPath(new URL('driftless.js', import.meta.url))],
  };
  const log = createLog({ file: join(settings.home, 'logs', 'client.log'), level: logLevel(process.env.DRIFTLESS_LOG_LEVEL) });
  const session = keepClient(settings);
  const deps = buildDeps(settings, session, log);
  try {
    process.exitCode = await runWords(words, deps);
  } finally {
    await session.replace(null);
  }
}

function buildDeps(settings: Settings, session: ReturnType<typeof keepClient>, log: Log): ProgramDeps {
  const { stdin, stdout, stderr } = process;
  const interrupts = handleInterrupts();
  const run: Run = {
    settings,
    client: session.open,
    clientOf: async ({ auth, user }) => (await import('../client.ts')).resume({ home: settings.home, auth, username: user }),
    replaceClient: session.replace,
    interruptible: interrupts.run,
    tell: (line) => void stderr.write(`${visible(line)}\n`),
    screen: stderr.isTTY ? { columns: stderr.columns || 80, write: (text) => stderr.write(text) } : null,
  };
  const basic: ProgramDeps = {
    run,
    out: { stream: stdout, isTerminal: stdout.isTTY },
    err: { stream: stderr, isTerminal: stderr.isTTY },
    record: (command, ms, outcome, error) => recordCommand(log, { command, ms: Math.round(ms), outcome }, error),
    extra: [],
  };
  const shell = async (): Promise<number> => {
    const { runShell } = await import('./shell.ts');
    const { createShellPresence } = await import('./shell_presence.ts');
    const { createShellSession } = await import('./shell_session.ts');
    const prompt: ShellDeps['prompt'] = { tell: null };
    const own = createShellSession({
      resume: async (how) => (await import('../client.ts')).resume({ ...profileOf(settings), ...how }),
      tell: (line) => (prompt.tell ?? run.tell)(visible(line)),
    });
    const ownRun: Run = { ...run, client: own.open, replaceClient: own.replace };
    const presence = createShellPresence(run); // of the device, whoever sits at the prompt
    const disconnect = async (): Promise<void> => {
      await presence.disconnect();
      await session.replace(null);
    };
    const connect = async (): Promise<void> => {
      await own.again();
      await presence.connect();
    };
    const does = { connect, disconnect };
    const extra = SHELL_WORDS.map(({ name, summary }) => ({
      ...{ name, summary, about: '' },
      run: async () => {
        await does[name]();
        return EXIT.done;
      },
    }));
    const names = [...COMMANDS, ...extra].map((command) => command.name);
    const isTerminal = stdin.isTTY && stdout.isTTY;
    // Whoever sits here and types nothing does nothing too. Without a login there is no session yet.
    void own.during(own.open).catch(() => undefined);
    const code = await runShell({
      input: stdin,
      output: isTerminal ? stdout : stderr,
      isTerminal,
      words: names,
      runWords: (line) => own.during(() => runWords(line, { ...basic, run: ownRun, extra })),
      prompt,
    });
    await Promise.all([disconnect(), own.close()]);
    return code;
  };
  return { ...basic, extra: [{ name: 'shell', summary: 'an interactive prompt', about: SHELL_ABOUT, run: shell }] };
}

function profileOf({ home, auth }: Settings): { readonly home: string; readonly auth?: string } {
  return { home, ...(auth === undefined ? {} : { auth }) };
}

/** The session of this run: opened when it is first needed. */
function keepClient(settings: Settings) {
  let current: Promise<Driftless> | null = null;
  return {
    open(): Promise<Driftless> {
      current ??= import('../client.ts').then(({ resume }) => resume(profileOf(settings)));
      current.catch(() => {
        current = null; // the next one tries again
      });
      return current;
    },
    async replace(next: Driftless | null): Promise<void> {
      const previous = await current?.catch(() => null);
      current = next === null ? null : Promise.resolve(next);
      await previous?.close();
    },
  };
}

function recordCommand(log: Log, facts: { command: string; ms: number; outcome: string }, error: unknown): void {
  if (error === undefined || (error instanceof AppError && error.code !== 'internal')) log.info(facts, 'command');
  else log.error({ ...facts, stack: error instanceof Error ? error.stack : undefined }, 'command');
}

function logLevel(text: string | undefined): Level {
  return LEVELS.find((level) => level === text) ?? 'info';
}
