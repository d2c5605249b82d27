import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Driftless, ListOptions, RestChange, RestEntry, RestPlaces } from '../client.ts';
import { argument, type Command, type Options, textOption } from './command.ts';
import { type DeviceNames, namedRows } from './device_names.ts';
import { formatTime } from './format.ts';
import { numberOption } from './history_commands.ts';
import { noticeText } from './notice_text.ts';
import { facts, rowsOf } from './output.ts';
import { placesText } from './receipt_commands.ts';

const NAME_OF: Record<RestEntry['kind'], (entry: RestEntry, name: string) => string> = {
  file: (entry, name) => (entry.executable ? `${name}*` : name),
  folder: (_entry, name) => `${name}/`,
  symlink: (entry, name) => `${name} -> ${entry.target ?? ''}`,
};

export function entryLine(entry: RestEntry, wholePath: boolean): string {
  const size = entry.kind === 'folder' ? '-' : formatBytes(entry.size);
  const name = NAME_OF[entry.kind](entry, wholePath ? entry.path : entry.path.slice(entry.path.lastIndexOf('/') + 1));
  const shared = entry.shared === null ? '' : `  (${entry.shared.role}, shared by ${entry.shared.owner})`;
  return `${size.padStart(9)}  ${formatTime(entry.mtime).padEnd(16)}  ${name}${shared}`;
}

export function entryJson({ path, kind, size, mtime, version, digest }: RestEntry): unknown {
  return { path, kind, size, mtime, version, digest };
}

async function* listOrEntry(client: Driftless, path: string, options: ListOptions): AsyncGenerator<RestEntry> {
  try {
    yield* client.list(path, options);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_a_folder') throw error;
    yield await client.entry(path);
  }
}

function listOptions(options: Options): ListOptions {
  const search = textOption(options, 'search');
  const sort = textOption(options, 'sort') as ListOptions['sort']; // commander has checked both against the choices
  const order = options.reverse === true ? 'desc' : 'asc';
  return { ...(search === undefined ? {} : { search }), ...(sort === undefined ? {} : { sort }), order };
}

type PlacedEntry = { readonly entry: RestEntry; readonly places: RestPlaces | null };
const PLACED_TOGETHER = 500;

/** Each with where it is; of what is no file `null`. */
async function* placed(client: Driftless, entries: AsyncIterable<RestEntry> | Iterable<RestEntry>): AsyncGenerator<PlacedEntry> {
  let some: RestEntry[] = [];
  const found = async (): Promise<PlacedEntry[]> => {
    const files = some.filter(({ kind }) => kind === 'file').map(({ path }) => path);
    const places = new Map(files.length === 0 ? [] : (await client.placesOf(files)).map((one, i) => [files[i], one]));
    return some.map((entry) => ({ entry, places: places.get(entry.path) ?? null }));
  };
  for await (const entry of entries) {
    some.push(entry);
    if (some.length < PLACED_TOGETHER) continue;
    yield* await found();
    some = [];
  }
  yield* await found();
}

function placedLine({ entry, places }: PlacedEntry, wholePath: boolean): string {
  const line = entryLine(entry, wholePath);
  return places === null ? line : `${line}  ${placesText(places, Date.now())}`;
}

function placedJson({ entry, places }: PlacedEntry): unknown {
  return { ...(entryJson(entry) as object), places };
}

/** @returns `null` when everything is asked for. @throws AppError `request_invalid` */
function pageOptions(options: Options): { limit?: number; after?: string } | null {
  const limit = textOption(options, 'limit');
  const after = textOption(options, 'page');
  if (limit === undefined && after === undefined) return null;
  if (limit !== undefined && !/^[1-9]\d{0,8}$/.test(limit)) throw new AppError('request_invalid', `"${limit}" is no number of entries`);
  return {
    ...(limit === undefined ? {} : { limit: Math.min(Number(limit), LIMITS.pageEntriesMax) }),
    ...(after === undefined ? {} : { after }),
  };
}

export function changeText(change: RestChange, { nameOf }: DeviceNames): string {
  const from = change.from === null || change.from === change.path ? '' : ` (was ${change.from})`;
  const what = change.details === undefined ? `${change.path}${from}` : noticeText(change.kind, change.details, nameOf);
  const by = change.device === '' ? change.user : `${change.user} on ${nameOf(change.device)}`;
  return `${formatTime(change.at)}  ${change.kind.padEnd(7)}  ${what}  by ${by}  ${change.cursor}`;
}

export const FILE_COMMANDS: readonly Command[] = [
  {
    name: 'ls',
    args: '[path]',
    summary: 'list a folder',
    options: [
      { flags: '-s, --search <text>', text: 'everything below the folder with this text in its name' },
      { flags: '--sort <key>', text: 'what to sort by', choices: ['name', 'size', 'mtime'], standard: 'name' },
      { flags: '-r, --reverse', text: 'largest, newest or last first' },
      { flags: '-n, --limit <count>', text: 'one page of so many; the last line says how to ask for the next' },
      { flags: '--page <mark>', text: 'the page behind another one, which told this mark' },
      { flags: '-l, --long', text: 'also where each file is: on how many stores, on which of your devices' },
    ],
    about: 'With --json an array of {path, kind, size, mtime, version, digest}, of one page {entries, next}; digest is the content id.',
    examples: [
      'ls',
      'ls /reports --sort mtime --reverse',
      'ls /photos --sort size --limit 20',
      'ls / --search q3 --json',
      'ls /photos --long',
    ],
    async run(run, [path = '/'], options) {
      const client = await run.client();
      const query = listOptions(options);
      const wholePath = query.search !== undefined;
      const isLong = options.long === true;
      const line = (entry: RestEntry): string => entryLine(entry, wholePath);
      const longLine = (one: PlacedEntry): string => placedLine(one, wholePath);
      const page = pageOptions(options);
      if (page !== null) {
        const { entries, next } = await client.listPage(path, { ...query, ...page });
        const more = next === null ? [] : [`there is more: --page ${next}`];
        if (isLong) {
          const all = await Array.fromAsync(placed(client, entries));
          return facts({ entries: all.map(placedJson), next }, ...all.map(longLine), ...more);
        }
        return facts({ entries: entries.map(entryJson), next }, ...entries.map(line), ...more);
      }
      const entries = listOrEntry(client, path, query);
      return { kind: 'rows', rows: isLong ? rowsOf(placed(client, entries), longLine, placedJson) : rowsOf(entries, line, entryJson) };
    },
  },
  {
    name: 'mkdir',
    args: '<path>',
    summary: 'make a folder, and those above it',
    examples: ['mkdir /reports/2026'],
    async run(run, args) {
      const made = await (await run.client()).createFolder(argument(args, 0));
      return facts(made, `made ${made.path}`);
    },
  },
  {
    name: 'cat',
    args: '<path>',
    summary: 'print the content of a file',
    about: 'On a terminal control characters are shown as codes; into a pipe the bytes go as they are.',
    options: [{ flags: '--version <n>', text: 'an older one, see versions' }],
    examples: ['cat /notes.txt', 'cat /photos.tar | tar -t', 'cat /notes.txt --version 17'],
    hasJson: false,
    async run(run, args, options) {
      const version = numberOption(options, 'version');
      return { kind: 'content', pieces: await (await run.client()).read(argument(args, 0), version === undefined ? {} : { version }) };
    },
  },
  {
    name: 'preview',
    args: '<path>',
    summary: 'print the first 1024 bytes of a file',
    examples: ['preview /notes.txt', 'preview /photo.jpg --json'],
    async run(run, args) {
      const path = argument(args, 0);
      const content = await (await run.client()).preview(path);
      const text = new TextDecoder().decode(content);
      return {
        kind: 'content',
        pieces: (async function* () {
          yield content;
        })(),
        json: { path, bytes: content.length, text, base64: content.toString('base64') },
      };
    },
  },
  {
    name: 'mv',
    args: '<from> <to>',
    summary: 'rename or move, without sending anything again',
    examples: ['mv /draft.txt /final.txt', 'mv /reports /archive/reports'],
    async run(run, args) {
      const moved = await (await run.client()).move(argument(args, 0), argument(args, 1));
      return facts(moved, `moved ${argument(args, 0)} to ${moved.path}`);
    },
  },
  {
    name: 'cp',
    args: '<from> <to>',
    summary: 'copy on the server',
    examples: ['cp /template.odt /letter.odt'],
    async run(run, args) {
      const copied = await (await run.client()).copy(argument(args, 0), argument(args, 1));
      return facts(copied, `copied ${argument(args, 0)} to ${copied.path}`);
    },
  },
  {
    name: 'rm',
    args: '<path>',
    summary: 'delete a file, or a folder with all it holds',
    examples: ['rm /old.txt'],
    async run(run, args) {
      const path = argument(args, 0);
      await (await run.client()).delete(path);
      return facts({ path }, `deleted ${path}`);
    },
  },
  {
    name: 'changes',
    args: '',
    summary: 'show what happened, oldest first in each space',
    about: 'Your own space first, then each shared folder: the order holds within each of them.',
    options: [{ flags: '-a, --after <cursor>', text: 'only what came behind this; each line ends with its cursor' }],
    examples: ['changes', 'changes --after CURSOR --json'],
    async run(run, _args, options) {
      const after = textOption(options, 'after');
      const client = await run.client();
      return { kind: 'rows', rows: await namedRows(client, client.changes(after === undefined ? {} : { after }), changeText) };
    },
  },
];
