import { Command as Commander, CommanderError, Option } from 'commander';
import { AppError } from '../../Models/errors.ts';
import { EXIT, EXIT_CODES } from '../../Models/exit_codes.ts';
import { visible, visibleContent, visibleJson } from '../../Models/visible.ts';
import packageJson from '../../package.json' with { type: 'json' };
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
export async function runWords(words: readonly string[], deps: ProgramDeps): Promise<number> {
  const result = { code: EXIT.done as number };
  try {
    await buildProgram(deps, result).parseAsync([...words], { from: 'user' });
    return result.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage; // it has said why
    const code = error instanceof AppError ? error.code : 'internal';
    deps.err(`driftless-admin: ${visible(error instanceof Error ? error.message : String(error))} (${code})\n`);
    return EXIT_CODES[code];
  }
}

function buildProgram(deps: ProgramDeps, result: { code: number }): Commander {
  const program = dressed(new Commander('driftless-admin'), deps)
    .description(ABOUT)
    .version(packageJson.version, '-V, --version')
    .enablePositionalOptions()
    .addHelpText('after', ENVIRONMENT);
  const groups = new Map<string, Commander>();
  for (const command of COMMANDS) {
    const [first = '', second] = command.name.split(' ');
    if (second === undefined) {
      groups.set(first, addCommand(program, first, command, deps, result)); // words may follow it too
      continue;
    }
    const group = groups.get(first) ?? dressed(program.command(first), deps).description(GROUPS[first] ?? first);
    groups.set(first, group);
    addCommand(group, second, command, deps, result);
  }
  return program;
}

function dressed(commander: Commander, deps: ProgramDeps): Commander {
  return commander
    .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage().replace('[options]', '').trim()}` })
    .helpCommand(true)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: deps.out,
      writeErr: deps.err,
      outputError: (text, write) => write(`driftless-admin: ${visibleContent(text.replace(/^error: /, ''))}`),
    });
}

function addCommand(parent: Commander, word: string, command: Command, deps: ProgramDeps, result: { code: number }): Commander {
  const { args, summary, about, options = [], examples } = command;
  const added = parent
    .command(`${word} ${args}`.trim())
    .summary(summary)
    .description(about === undefined ? summary : `${summary}\n\n${about.replaceAll('\n', ' ')}`);
  for (const { flags, text, choices } of options) {
    const option = new Option(flags, text);
    if (choices !== undefined) option.choices(choices);
    added.addOption(option);
  }
  added.option('--json', 'print JSON, for programs');
  const lines = examples.map((example) => `  ${example.includes('driftless-admin ') ? example : `driftless-admin ${example}`}\n`);
  added.addHelpText('after', `\nExamples:\n${lines.join('')}`);
  added.action(async () => {
    result.code = await perform(command, added.args, added.opts<Options>(), deps);
  });
  return added;
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
