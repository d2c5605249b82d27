import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { AppError } from '../../Models/errors.ts';
import { EXIT, EXIT_CODES } from '../../Models/exit_codes.ts';
import { visible } from '../../Models/visible.ts';
import { splitWords } from './words.ts';

/** Other words for commands. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  upload: ['put'],
  download: ['get'],
  delete: ['rm'],
  list: ['ls'],
  list_my_files: ['published', '--mine'],
  list_all_files: ['published'],
  download_file: ['fetch'],
};

/** `download_file USER FILE` is `fetch USER/FILE`. */
function translated([first = '', ...rest]: readonly string[]): string[] {
  const [user, file, ...others] = rest;
  if (first === 'download_file' && user !== undefined && file !== undefined) return ['fetch', `${user}/${file}`, ...others];
  return [...(SYNONYMS[first] ?? [first]), ...rest];
}
const LAST_WORDS = new Set(['quit', 'exit']);
const PROMPT = 'driftless> ';
const HISTORY_MAX = 500;

export type ShellDeps = {
  readonly input: Readable;
  readonly output: Writable; // of the prompt and of messages
  readonly isTerminal: boolean;
  readonly words: readonly string[]; // to complete with the tab key
  readonly runWords: (words: readonly string[]) => Promise<number>;
  /** While a line is asked for on a terminal, it tells a line there without spoiling what is being typed. */
  readonly prompt: { tell: ((line: string) => void) | null };
};

/** @returns exit code: on a terminal 0; in a pipe that of the first command that failed */
export async function runShell(deps: ShellDeps): Promise<number> {
  let firstFailure: number = EXIT.done;
  for await (const line of deps.isTerminal ? askedLines(deps) : pipedLines(deps.input)) {
    const words = parseLine(line, deps.output);
    const [first = ''] = words ?? [];
    if (LAST_WORDS.has(first)) break;
    let code: number = EXIT.done;
    if (words === null) code = EXIT_CODES.request_invalid;
    else if (first !== '') code = await deps.runWords(translated(words));
    if (firstFailure === EXIT.done) firstFailure = code;
  }
  return deps.isTerminal ? EXIT.done : firstFailure;
}

function parseLine(line: string, output: Writable): string[] | null {
  try {
    return splitWords(line);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    output.write(`driftless: ${visible(error.message)} (${error.code})\n`);
    return null;
  }
}

async function* pipedLines(input: Readable): AsyncGenerator<string> {
  yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
}

/** A new reader for each line: while a command runs the terminal is as the command wants it, and Ctrl-C reaches the command. */
async function* askedLines({ input, output, words, prompt }: ShellDeps): AsyncGenerator<string> {
  const all = [...words, ...Object.keys(SYNONYMS), 'help', 'quit'];
  const completer = (line: string): [string[], string] => [all.filter((word) => word.startsWith(line)).map((word) => `${word} `), line];
  let history: string[] = [];
  while (true) {
    const reader = createInterface({ input, output, terminal: true, completer, history: [...history], historySize: HISTORY_MAX });
    reader.on('history', (lines) => {
      history = lines;
    });
    const ended = new AbortController();
    reader.on('close', () => ended.abort());
    reader.on('SIGINT', () => {
      output.write('\n(quit, or Ctrl-D, to leave)\n');
      reader.prompt();
    });
    prompt.tell = (text) => {
      output.write(`\n${text}\n`);
      reader.prompt(true);
    };
    const line = await reader.question(PROMPT, { signal: ended.signal }).catch(() => null); // Ctrl-D
    prompt.tell = null;
    reader.close();
    if (line === null) {
      output.write('\n');
      return;
    }
    yield line;
  }
}
