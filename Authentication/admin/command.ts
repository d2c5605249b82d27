import type { CommandOptions, CommandWords } from '../../Models/command_line.ts';
import type { Admin } from './admin.ts';

/** One thing that happened, as `Answer` tells it. */
export type Happening = { readonly line: string; readonly json: unknown };

/** What a command has to say: the same facts for a person and, with `--json`, for a program. */
export type Answer =
  | {
      readonly json: unknown;
      readonly lines: readonly string[];
      /** Some of it could not be done; `lines` say what. */
      readonly failed?: boolean;
    }
  /** As it happens: each is said at once, as JSON on a line of its own. May never end. */
  | { readonly happening: AsyncIterable<Happening> };
export type Options = CommandOptions;

/** One command of the program. */
export type Command = CommandWords & {
  run(admin: Admin, args: readonly string[], options: Options): Promise<Answer>;
};

/** @param args as commander checked them: a required one is there */
export function argument(args: readonly string[], at: number): string {
  const value = args[at];
  if (value === undefined) throw new RangeError(`there is no argument ${at}`);
  return value;
}

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** To the minute, in UTC. */
export function timeText(ms: number | null): string {
  return ms === null ? '-' : `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

/** Rows in columns, the head first. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

export function countText(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
