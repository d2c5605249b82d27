import { prepareNewPassword, prepareUserName } from '../../Models/credentials.ts';
import { AppError } from '../../Models/errors.ts';

/** One line of a file of users. `line` counts from 1. A `problem` quotes nothing of the line: all of it may be a password. */
export type UserLine = { readonly line: number } & ({ readonly name: string; readonly password: string } | { readonly problem: string });

const LINE_BYTES_MAX = 8192;
const LINE_FEED = 0x0a;
const decoder = new TextDecoder('utf-8', { fatal: true }); // it takes a byte order mark away

function parseLine(line: number, bytes: Uint8Array): UserLine | null {
  let text: string;
  try {
    text = decoder.decode(bytes).replace(/\r$/, '');
  } catch {
    return { line, problem: 'it is not UTF-8' };
  }
  if (text.trim() === '') return null;
  const colon = text.indexOf(':');
  if (colon < 0) return { line, problem: 'it has no colon: a line is user:password' };
  try {
    return { line, name: prepareUserName(text.slice(0, colon)), password: prepareNewPassword(text.slice(colon + 1)) };
  } catch (error) {
    if (error instanceof AppError) return { line, problem: error.message };
    throw error;
  }
}

/** Lines `user:password`; the password may hold colons. Empty lines are skipped. @param pieces of a file, however they are cut; no more than a line of it is held */
export async function* userLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<UserLine> {
  let held: Uint8Array = new Uint8Array(0);
  let isTooLong = false;
  let line = 1;
  function* ended(): Generator<UserLine> {
    const parsed = isTooLong ? { line, problem: `it is longer than ${LINE_BYTES_MAX} bytes` } : parseLine(line, held);
    if (parsed !== null) yield parsed;
    held = new Uint8Array(0);
    isTooLong = false;
    line += 1;
  }
  for await (const piece of pieces) {
    for (let from = 0; from < piece.length; ) {
      const at = piece.indexOf(LINE_FEED, from);
      const part = piece.subarray(from, at < 0 ? piece.length : at);
      isTooLong ||= held.length + part.length > LINE_BYTES_MAX;
      held = isTooLong ? new Uint8Array(0) : Buffer.concat([held, part]);
      if (at >= 0) yield* ended();
      from += part.length + 1;
    }
  }
  if (held.length > 0 || isTooLong) yield* ended();
}
