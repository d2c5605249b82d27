import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { setImmediate as setImmediately } from 'node:timers/promises';
import { visible, visibleContent, visibleJson } from '../../Models/visible.ts';

/** What a command has to say: the same facts for a person and, with `--json`, for a program. */
export type Answer =
  | { readonly kind: 'facts'; readonly lines: readonly string[]; readonly json: unknown }
  | { readonly kind: 'rows'; readonly rows: AsyncIterable<{ readonly line: string; readonly json: unknown }> }
  /** As they happen: each is printed at once; as JSON each is a line of its own. An empty `line` is for programs only. */
  | { readonly kind: 'events'; readonly events: AsyncIterable<{ readonly line: string; readonly json: unknown }> }
  | { readonly kind: 'content'; readonly pieces: AsyncIterable<Uint8Array>; readonly json?: unknown };

export function facts(json: unknown, ...lines: string[]): Answer {
  return { kind: 'facts', lines, json };
}

export async function* rowsOf<T>(
  items: AsyncIterable<T> | Iterable<T>,
  line: (item: T) => string,
  json: (item: T) => unknown = (item) => item,
) {
  for await (const item of items) yield { line: line(item), json: json(item) };
}

/** Where answers go. `isTerminal`: a person looks on, so content is made visible too. */
export type Sink = { readonly stream: Writable; readonly isTerminal: boolean };

const FLUSH_CHARACTERS = 64 * 1024;

export async function printAnswer(sink: Sink, answer: Answer, asJson: boolean): Promise<void> {
  switch (answer.kind) {
    case 'facts': {
      const lines = asJson ? [visibleJson(answer.json)] : answer.lines.map(visible);
      return write(sink, lines.map((line) => `${line}\n`).join(''));
    }
    case 'rows':
      return printRows(sink, answer.rows, asJson);
    case 'events':
      return printEvents(sink, answer.events, asJson);
    case 'content':
      return asJson ? write(sink, `${visibleJson(answer.json)}\n`) : printContent(sink, answer.pieces);
  }
}

/** Rows are printed as they come: a listing of any length passes through in bounded memory. */
async function printRows(sink: Sink, rows: AsyncIterable<{ line: string; json: unknown }>, asJson: boolean): Promise<void> {
  let text = '';
  let count = 0;
  for await (const row of rows) {
    if (asJson) text += `${count === 0 ? '[' : ','}\n${visibleJson(row.json)}`;
    else text += `${visible(row.line)}\n`;
    count += 1;
    if (text.length < FLUSH_CHARACTERS) continue;
    await write(sink, text);
    text = '';
  }
  if (asJson) text += count === 0 ? '[]\n' : '\n]\n';
  await write(sink, text);
}

async function printEvents(sink: Sink, events: AsyncIterable<{ line: string; json: unknown }>, asJson: boolean): Promise<void> {
  for await (const { line, json } of events) {
    sink.stream.cork(); // lines that come in one go are written in one go
    setImmediate(() => sink.stream.uncork());
    if (asJson) await write(sink, `${visibleJson(json)}\n`);
    else if (line !== '') await write(sink, `${visible(line)}\n`);
  }
  await setImmediately(); // all of it is written
}

async function printContent(sink: Sink, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let endsLine = true;
  for await (const piece of pieces) {
    if (sink.isTerminal) await write(sink, visibleContent(decoder.decode(piece, { stream: true })));
    else await write(sink, piece);
    endsLine = piece.at(-1) === 0x0a;
  }
  if (sink.isTerminal && !endsLine) await write(sink, `${visibleContent(decoder.decode())}\n`);
}

async function write(sink: Sink, data: string | Uint8Array): Promise<void> {
  if (data.length > 0 && !sink.stream.write(data)) await once(sink.stream, 'drain');
}
