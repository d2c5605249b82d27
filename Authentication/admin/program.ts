import { openCommandLine } from '../../Models/command_line.ts';
import { EXIT } from '../../Models/exit_codes.ts';
import { visible, visibleJson } from '../../Models/visible.ts';
import type { Admin } from './admin.ts';
import { AUDIT_COMMAND } from './audit_command.ts';
import type { Command, Options } from './command.ts';
import { IMPORT_COMMAND } from './import_command.ts';
import { INVITE_COMMANDS } from './invite_commands.ts';
import { KEY_COMMANDS } from './key_commands.ts';
import { SESSION_COMMANDS } from './session_commands.ts';
import { USER_COMMANDS } from './user_commands.ts';

export const COMMANDS: readonly Command[] = [
  ...USER_COMMANDS,
  IMPORT_COMMAND,
  ...INVITE_COMMANDS,
  ...SESSION_COMMANDS,
  ...KEY_COMMANDS,
  AUDIT_COMMAND,
];

const ABOUT = `For whoever runs the server, on its machine. Works on the data folder, also while daemon and server run, and as the user that owns the files in it.`;
const GROUPS: Readonly<Record<string, string>> = {
  users: 'accounts: who may log in, as what',
  sessions: 'who is logged in',
  keys: 'what tickets are signed with, and the key for HTTPS',
};
const ENVIRONMENT = `
Environment:
  DRIFTLESS_DATA       the data folder (./data)
  DRIFTLESS_DATABASE   postgres://…, when the server keeps its rows there
  DRIFTLESS_HOST, DRIFTLESS_AUTH_PORT   where the daemon listens, for invite-code
  DRIFTLESS_PASSWORD   for scripts: instead of asking for a user's password

Exit codes:
  0 done   1 failed   2 usage   3 refused   4 not found   5 conflict   6 limit   130 cancelled
`;

export type ProgramDeps = {
  /** Opened for each command that is run, and closed behind it. */
  readonly open: () => Admin;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
};

/** Runs one command line. Never throws: what went wrong is on `err`, and in the exit code. */
export function runWords(words: readonly string[], deps: ProgramDeps): Promise<number> {
  const { out, err } = deps;
  const line = openCommandLine({ name: 'driftless-admin', about: ABOUT, after: ENVIRONMENT, groups: GROUPS, out, err });
  for (const command of COMMANDS) {
    const about = command.about?.replaceAll('\n', ' ');
    line.add({ ...command, about }, (args, options) => perform(command, args, options, deps));
  }
  return line.run(words);
}

async function perform(command: Command, args: readonly string[], options: Options, deps: ProgramDeps): Promise<number> {
  await using admin = deps.open();
  const answer = await command.run(admin, args, options);
  if ('happening' in answer) {
    for await (const { line, json } of answer.happening) deps.out(`${options.json === true ? visibleJson(json) : visible(line)}\n`);
    return EXIT.done;
  }
  const { json, lines, failed = false } = answer;
  const shown = options.json === true ? [visibleJson(json)] : lines.map(visible);
  deps.out(shown.map((line) => `${line}\n`).join(''));
  return failed || !admin.isRecorded ? EXIT.failed : EXIT.done; // with its answer: what was done stays done
}
