import { FILE_KINDS } from '../../Models/file_kinds.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { parseBytes } from '../../Models/parse_bytes.ts';
import type { SearchOptions } from '../find_methods.ts';
import { argument, type Command, type Options, textOption } from './command.ts';
import { entryJson, entryLine } from './file_commands.ts';
import { countOf, formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';
import { parseTime } from './times.ts';

function searchOptions(options: Options): SearchOptions {
  const kind = textOption(options, 'kind') as SearchOptions['kind']; // commander has checked it against the choices
  const since = textOption(options, 'since');
  const larger = textOption(options, 'larger');
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(since === undefined ? {} : { since: parseTime(since, new Date()) }),
    ...(larger === undefined ? {} : { larger: parseBytes(larger) }),
  };
}

const BAR = 30;

function bars(rows: readonly { readonly label: string; readonly count: number }[]): string[] {
  const most = Math.max(...rows.map(({ count }) => count));
  return rows.map(({ label, count }) => `  ${label}  ${'#'.repeat(Math.ceil((count / most) * BAR)).padEnd(BAR)}  ${count}`);
}

export const FIND_COMMANDS: readonly Command[] = [
  {
    name: 'search',
    args: '<text>',
    summary: 'find files and folders by a part of their name, wherever they are',
    options: [
      { flags: '--kind <kind>', text: 'only these', choices: ['file', 'folder', 'symlink', ...FILE_KINDS] },
      { flags: '--since <time>', text: 'modified then or later: 2026-11-27, "2026-11-27 14:05", 14:05, or 7d ago' },
      { flags: '--larger <size>', text: 'files of more bytes: 500K, 10M, 2G' },
    ],
    about: 'Looks in everything you can read, also in folders that others share with you. What was made last comes first.',
    examples: ['search q3', 'search holiday --kind image --since 30d', 'search backup --larger 1G --json'],
    async run(run, args, options) {
      const found = (await run.client()).search(argument(args, 0), searchOptions(options));
      return { kind: 'rows', rows: rowsOf(found, (entry) => entryLine(entry, true), entryJson) };
    },
  },
  {
    name: 'stats',
    args: '[path]',
    summary: 'count files, bytes and changes below a folder',
    about: 'Changes are those of the last thirty days, by day (UTC) and by folder.',
    examples: ['stats', 'stats /photos --json'],
    async run(run, [path = '/']) {
      const counted = await (await run.client()).statistics(path);
      const { files, folders, symlinks, bytes, kinds, days, busiest, changesSince } = counted;
      const links = symlinks === 0 ? '' : `, ${countOf(symlinks, 'symlink')}`;
      const ofKinds = kinds.map(
        (kind) => `  ${kind.kind.padEnd(9)}  ${formatBytes(kind.bytes).padStart(8)}  ${countOf(kind.files, 'file')}`,
      );
      const changes = days.reduce((sum, day) => sum + day.changes, 0);
      return facts(
        counted,
        `${countOf(files, 'file')} in ${countOf(folders, 'folder')}${links}: ${formatBytes(bytes)}`,
        ...ofKinds,
        `${countOf(changes, 'change')} since ${formatTime(changesSince)}`,
        ...bars(days.map((day) => ({ label: day.day, count: day.changes }))),
        ...busiest.map((folder) => `  ${String(folder.changes).padStart(10)}  ${folder.path}`),
      );
    },
  },
];
