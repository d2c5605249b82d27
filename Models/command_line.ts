import { Command, CommanderError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { AppError } from './errors.ts';
import { EXIT, EXIT_CODES } from './exit_codes.ts';
import { visible, visibleContent } from './visible.ts';

/** A command as commander and `--help` know it. */
export type CommandWords = {
  /** One word or two: the first of two is that of a group, which may be a command itself. */
  readonly name: string;
  readonly args: string; // in commander's notation
  readonly usage?: string; // where `args` cannot say it
  readonly summary: string;
  readonly about?: string | undefined;
  readonly options?: readonly {
    readonly flags: string;
    readonly text: string;
    readonly choices?: readonly string[];
    readonly standard?: string;
    /** May be given several times; its value is a list. */
    readonly repeated?: true;
  }[];
  /** Without the leading name of the program. */
  readonly examples: readonly string[];
  /** `false` for content, which is what it is. */
  readonly hasJson?: false;
};
export type CommandOptions = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export type CommandLine = {
  /** @param run returns the exit code; what it throws is told by `run` below. It finds arguments that commander has checked to be there. */
  add(command: CommandWords, run: (args: readonly string[], options: CommandOptions) => Promise<number>): void;
  /** Runs one command line. Never throws: what went wrong is on `err`, and in the exit code that it returns. */
  run(words: readonly string[]): Promise<number>;
};

export type CommandLineOf = {
  readonly name: string; // of the program
  readonly about: string;
  readonly after: string; // what `--help` ends with
  readonly groups?: Readonly<Record<string, string>>; // what groups that are no commands are about
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** What a person can do about an error, behind its message. */
  readonly hint?: (error: AppError) => string;
};

/** The words of a program: help, errors and exit codes are the same in all of ours. */
export function openCommandLine({ name, about, after, groups = {}, out, err, hint = () => '' }: CommandLineOf): CommandLine {
  let exitCode: number = EXIT.done;
  const dressed = (commander: Command, group?: string): Command =>
    commander
      .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage().replace('[options]', '').trim()}` })
      .helpCommand(true)
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({
        writeOut: out,
        writeErr: err,
        outputError: (text, write) => write(usageError(text, group === undefined ? name : `${name} ${group}`)),
      });
  const program = dressed(new Command(name))
    .description(about)
    .version(packageJson.version, '-V, --version')
    .enablePositionalOptions() // behind a command --version is the command's
    .addHelpText('after', after);
  const parents = new Map<string, Command>();
  const groupOf = (word: string): Command => {
    const group = parents.get(word) ?? dressed(program.command(word), word).description(groups[word] ?? word);
    parents.set(word, group);
    return group;
  };

  return {
    add(command, run) {
      const [first = '', second] = command.name.split(' ');
      const added = addCommand(second === undefined ? program : groupOf(first), second ?? first, command, name);
      if (second === undefined) parents.set(first, added); // words may follow it too
      added.action(async () => {
        exitCode = await run(added.args, added.opts<CommandOptions>());
      });
    },
    async run(words) {
      exitCode = EXIT.done;
      try {
        await program.parseAsync([...words], { from: 'user' });
        return exitCode;
      } catch (error) {
        if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage; // it has said why
        const code = error instanceof AppError ? error.code : 'internal';
        const said = error instanceof Error ? error.message : String(error);
        err(`${name}: ${visible(said)}${error instanceof AppError ? hint(error) : ''} (${code})\n`);
        return EXIT_CODES[code];
      }
    },
  };
}

/** @param asked what `--help` of is of help: the program, and the command where there is one */
function usageError(text: string, asked: string): string {
  const said = `${asked.split(' ', 1)[0]}: ${visibleContent(text.replace(/^error: /, ''))}`;
  return text.includes('(Did you mean') ? said : `${said.trimEnd()}; see "${asked} --help"\n`;
}

function addCommand(parent: Command, word: string, command: CommandWords, program: string): Command {
  const { args, usage, summary, about, options = [], examples, hasJson = true } = command;
  const added = parent
    .command(`${word} ${args}`.trim())
    .summary(summary)
    .description(about === undefined ? summary : `${summary}\n\n${about}`);
  added.configureOutput({ outputError: (text, write) => write(usageError(text, `${program} ${command.name}`)) });
  if (usage !== undefined) added.usage(usage);
  for (const { flags, text, choices, standard, repeated } of options) {
    const option = new Option(flags, text);
    if (repeated === true) option.argParser((value: string, before: readonly string[] = []) => [...before, value]);
    if (choices !== undefined) option.choices(choices);
    if (standard !== undefined) option.default(standard);
    added.addOption(option);
  }
  if (hasJson) added.option('--json', 'print JSON, for programs');
  const lines = examples.map((example) => `  ${example.includes(`${program} `) ? example : `${program} ${example}`}\n`);
  if (lines.length > 0) added.addHelpText('after', `\nExamples:\n${lines.join('')}`);
  return added;
}
