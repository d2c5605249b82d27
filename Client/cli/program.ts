import { openCommandLine } from '../../Models/command_line.ts';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import { visible } from '../../Models/visible.ts';
import { failureText } from '../failure_text.ts';
import { ACCOUNT_COMMANDS } from './account_commands.ts';
import { BACK_COMMANDS } from './back_commands.ts';
import type { Command, Options, Run } from './command.ts';
import { DEVICE_COMMANDS } from './device_commands.ts';
import { EVENT_COMMANDS } from './event_commands.ts';
import { FILE_COMMANDS } from './file_commands.ts';
import { FIND_COMMANDS } from './find_commands.ts';
import { HISTORY_COMMANDS } from './history_commands.ts';
import { LINK_COMMANDS } from './link_commands.ts';
import { type Answer, printAnswer, type Sink } from './output.ts';
import { PUBLISH_COMMANDS } from './publish_commands.ts';
import { QUOTA_COMMANDS } from './quota_commands.ts';
import { RECEIPT_COMMANDS } from './receipt_commands.ts';
import { ROOT_COMMANDS } from './root_commands.ts';
import { SHARING_COMMANDS } from './sharing_commands.ts';
import { SYNC_COMMANDS } from './sync_commands.ts';
import { TRANSFER_COMMANDS } from './transfer_commands.ts';
import { WEBHOOK_COMMANDS } from './webhook_commands.ts';

export const COMMANDS: readonly Command[] = [
  ...ACCOUNT_COMMANDS,
  ...DEVICE_COMMANDS,
  ...FILE_COMMANDS,
  ...FIND_COMMANDS,
  ...QUOTA_COMMANDS,
  ...TRANSFER_COMMANDS,
  ...SYNC_COMMANDS,
  ...ROOT_COMMANDS,
  ...SHARING_COMMANDS,
  ...HISTORY_COMMANDS,
  ...EVENT_COMMANDS,
  ...WEBHOOK_COMMANDS,
  ...LINK_COMMANDS,
  ...BACK_COMMANDS,
  ...PUBLISH_COMMANDS,
  ...RECEIPT_COMMANDS,
];

export type ProgramDeps = {
  readonly run: Run;
  readonly out: Sink;
  readonly err: Sink;
  /** Called once for each command that was run. `outcome`: `done`, `failed` (in part), or an error's code. */
  readonly record: (command: string, ms: number, outcome: string, error?: unknown) => void;
  /** Commands that exist here only: the shell, which itself runs the others. */
  readonly extra: readonly { name: string; summary: string; about: string; run: () => Promise<number> }[];
};

const LOGIN_NEEDED: ReadonlySet<ErrorCode> = new Set(['session_unknown', 'ticket_revoked']);

const ENVIRONMENT = `
Environment:
  DRIFTLESS_HOME            folder of your profile (~/.driftless)
  DRIFTLESS_AUTH            the authentication daemon, host:port (127.0.0.1:4810)
  DRIFTLESS_SERVER          the file server, to log in where UDP does not get through (port 4811 of that host)
  DRIFTLESS_PASSWORD        for scripts: instead of asking for it
  DRIFTLESS_NEW_PASSWORD    the same for passwd
  DRIFTLESS_LINK_PASSWORD   the same for link --password

Exit codes:
  0 done   1 failed   2 usage   3 not logged in or refused   4 not found   5 conflict   6 limit or quota   130 interrupted

Examples:
  driftless register alice
  driftless put ./photos /photos
  driftless sync ~/Work /work
  driftless invite /photos bob --role editor
  driftless ls /photos --json
`;

/** Runs one command line. Never throws: what went wrong is on `err`, and in the exit code. */
export function runWords(words: readonly string[], deps: ProgramDeps): Promise<number> {
  const line = openCommandLine({
    name: 'driftless',
    about: 'Sync and share files with your own server.',
    after: ENVIRONMENT,
    out: (text) => deps.out.stream.write(text),
    err: (text) => deps.err.stream.write(text),
    hint: hintFor,
  });
  for (const command of COMMANDS) line.add(command, (args, options) => perform(command, args, options, deps));
  for (const { name, summary, about, run } of deps.extra) line.add({ name, summary, about, args: '', examples: [], hasJson: false }, run);
  return line.run(words);
}

async function perform(command: Command, args: readonly string[], options: Options, deps: ProgramDeps): Promise<number> {
  const startedAt = performance.now();
  try {
    const outcome = await command.run(deps.run, args, options);
    const { answer, failures, code = EXIT.done } = 'kind' in outcome ? { answer: outcome as Answer, failures: [] } : outcome;
    await printAnswer(deps.out, answer, options.json === true);
    for (const failure of failures) deps.err.stream.write(`driftless: ${visible(failureText(failure))} (${failure.code})\n`);
    const exitCode = failures.length === 0 ? code : EXIT.failed;
    deps.record(command.name, performance.now() - startedAt, exitCode === EXIT.done ? 'done' : 'failed');
    return exitCode;
  } catch (error) {
    deps.record(command.name, performance.now() - startedAt, error instanceof AppError ? error.code : 'internal', error);
    throw error;
  }
}

/** What a person can do about it. */
function hintFor({ code, reason }: AppError): string {
  if (reason === 'idle') return '; "connect" begins another'; // only a shell has such a session
  if (code === 'not_logged_in') return '; log in with "driftless login NAME", or make an account with "driftless register NAME"';
  if (code === 'name_taken') return '; if it is yours, log in with "driftless login NAME"';
  return LOGIN_NEEDED.has(code) ? '; log in with "driftless login NAME"' : '';
}
