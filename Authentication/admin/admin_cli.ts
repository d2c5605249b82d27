import { userInfo } from 'node:os';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { visible } from '../../Models/visible.ts';
import { type AdminIo, openAdmin } from './admin.ts';
import { runWords } from './program.ts';
import { readSettings } from './settings.ts';

/** The administrator's program's main: reads the environment, puts the parts together, sets the exit code. */
export async function main(words: readonly string[]): Promise<void> {
  const { stdout, stderr, env } = process;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(); // `driftless-admin audit | head`: the reader has seen enough
    throw error;
  });
  const uid = process.getuid?.() ?? null;
  const io: AdminIo = {
    now: Date.now,
    tell: (line) => void stderr.write(`${visible(line)}\n`),
    askPassword: (whose) => askPassword(whose, env.DRIFTLESS_PASSWORD || null),
    askYes,
    operator: env.SUDO_USER || ownName(uid),
    uid,
  };
  process.exitCode = await runWords(words, {
    open: () => openAdmin(readSettings(env), io),
    out: (said) => void stdout.write(said),
    err: (said) => void stderr.write(said),
  });
}

/** In a container there may be nobody of that number in the list of users. */
function ownName(uid: number | null): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${uid}`;
  }
}

async function askPassword(whose: string, given: string | null): Promise<string> {
  if (given !== null) return given;
  if (!process.stdin.isTTY) return firstLine();
  const { password, isCancel } = await import('@clack/prompts');
  const ask = async (message: string): Promise<string> => {
    const answer = await password({ message, mask: '•', output: process.stderr });
    if (isCancel(answer)) throw new AppError('cancelled', 'cancelled');
    return answer ?? '';
  };
  const first = await ask(`Password for ${visible(whose)}`);
  if ((await ask('The same again')) !== first) throw new AppError('request_invalid', 'the two passwords differ');
  return first;
}

async function firstLine(): Promise<string> {
  const [line = ''] = (await text(process.stdin)).split(/\r?\n/, 1);
  if (line === '') throw new AppError('request_invalid', 'no password: set DRIFTLESS_PASSWORD, or write it to standard input');
  return line.slice(0, LIMITS.passwordBytesMax + 1); // longer is refused all the same
}

async function askYes(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new AppError('request_invalid', 'there is no terminal to ask: give --yes');
  const { confirm, isCancel } = await import('@clack/prompts');
  const answer = await confirm({ message: visible(question), initialValue: false, output: process.stderr });
  return !isCancel(answer) && answer === true;
}
