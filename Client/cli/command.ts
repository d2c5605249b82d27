import type { CommandOptions, CommandWords } from '../../Models/command_line.ts';
import type { ExitCode } from '../../Models/exit_codes.ts';
import type { Driftless, TransferFailure } from '../client.ts';
import type { Answer } from './output.ts';

/** From the environment; read once, in the main. */
export type Settings = {
  readonly home: string; // folder
  readonly auth: string | undefined; // host:port
  readonly server?: string | undefined; // URL, where UDP does not get through
  readonly password: string | undefined;
  readonly newPassword?: string | undefined;
  readonly linkPassword?: string | undefined;
  readonly configHome: string; // folder of this user's settings for all programs
  readonly program: readonly string[]; // what starts this program again
};

export const DEFAULT_AUTH = '127.0.0.1:4810';

/** What a command may use. */
export type Run = {
  readonly settings: Settings;
  /** The logged-in client, opened at the first call and closed by whoever runs commands. */
  client(): Promise<Driftless>;
  /** The client of another login of the profile; whoever asks for it closes it. */
  clientOf(login: { readonly auth: string; readonly user: string }): Promise<Driftless>;
  /** From here on this client is the one; `null`: none, as after a logout. */
  replaceClient(next: Driftless | null): Promise<void>;
  /** Work that an interrupt ends in order: no half file is left. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** One line for the person, not part of the answer. */
  tell(line: string): void;
  /** Where progress is drawn; `null` where nobody watches. */
  readonly screen: Screen | null;
};
export type Screen = { readonly columns: number; write(text: string): void };

/** `code`: what a script sees when nothing failed; `done` if not given. */
export type Outcome = Answer | { readonly answer: Answer; readonly failures: readonly TransferFailure[]; readonly code?: ExitCode };
export type Options = CommandOptions;

/** One word of the command line. */
export type Command = CommandWords & {
  run(run: Run, args: readonly string[], options: Options): Promise<Outcome>;
};

/** A positional argument that commander has already checked to be there. */
export function argument(args: readonly string[], at: number): string {
  const value = args[at];
  if (value === undefined) throw new Error(`argument ${at} is missing`);
  return value;
}

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function listOption(options: Options, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value : [];
}
