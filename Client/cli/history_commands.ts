import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import type { RestDeed, RestTrashItem, RestVersion } from '../client.ts';
import { argument, type Command, type Options, textOption } from './command.ts';
import { type DeviceNames, namedRows } from './device_names.ts';
import { formatTime } from './format.ts';
import { facts } from './output.ts';

/** @throws AppError `request_invalid` */
export function numberOption(options: Options, name: string): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^[1-9][0-9]{0,15}$/.test(text) || !Number.isSafeInteger(number)) {
    throw new AppError('request_invalid', `--${name} takes a version number, as "driftless versions" shows them`);
  }
  return number;
}

function neededNumber(options: Options, name: string): number {
  const number = numberOption(options, name);
  if (number === undefined) throw new AppError('request_invalid', `which version? --${name} N`);
  return number;
}

type Done = {
  readonly user: string;
  readonly device: string;
  readonly reason: string | null;
  readonly operation: string;
  readonly at: string;
};
const by = ({ user, device, reason, operation }: Done, { nameOf }: DeviceNames): string =>
  `by ${user} on ${nameOf(device)}${reason === null ? '' : ` (${reason})`}  operation ${operation}`;

function versionLine(row: RestVersion, names: DeviceNames): string {
  const marks = [row.current ? 'current' : '', row.pinned ? 'pinned' : ''].filter((mark) => mark !== '').join(', ');
  return `${String(row.version).padStart(8)}  ${formatTime(row.at)}  ${formatBytes(row.size).padStart(9)}  ${row.path}${marks === '' ? '' : `  (${marks})`}  ${by(row, names)}`;
}

function deedLine(row: RestDeed, names: DeviceNames): string {
  const from = row.from === null ? '' : ` (was ${row.from})`;
  return `${String(row.version).padStart(8)}  ${formatTime(row.at)}  ${row.kind.padEnd(10)}  ${row.path}${from}  ${by(row, names)}`;
}

function trashLine(row: RestTrashItem, names: DeviceNames): string {
  const size = row.kind === 'folder' ? '-' : formatBytes(row.size);
  return `@${row.id}  ${formatTime(row.at)}  ${size.padStart(9)}  ${row.path}${row.kind === 'folder' ? '/' : ''}  ${by(row, names)}`;
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/** `@ID` as the trash shows it, or a path. */
const gone = (what: string): string | number => (/^@[1-9][0-9]{0,15}$/.test(what) ? Number(what.slice(1)) : what);

export const HISTORY_COMMANDS: readonly Command[] = [
  {
    name: 'versions',
    args: '<path>',
    summary: 'show the contents that a file has had, the newest first',
    about: 'The first column is the number that cat, get, restore, diff and pin take. Works for deleted files too.',
    examples: ['versions /report.odt', 'versions /report.odt --json'],
    async run(run, args) {
      const client = await run.client();
      return { kind: 'rows', rows: await namedRows(client, client.versions(argument(args, 0)), versionLine) };
    },
  },
  {
    name: 'restore',
    args: '<path>',
    summary: 'make an older version the newest, or a copy of it elsewhere',
    options: [
      { flags: '--version <n>', text: 'which one, see versions' },
      { flags: '--to <path>', text: 'a copy at this path, where nothing may be' },
    ],
    about: 'Nothing is lost: what was the newest stays a version. No byte is sent again.',
    examples: ['restore /report.odt --version 17', 'restore /report.odt --version 17 --to /report-old.odt'],
    async run(run, args, options) {
      const to = textOption(options, 'to');
      const version = neededNumber(options, 'version');
      const restored = await (await run.client()).restore(argument(args, 0), version, to === undefined ? {} : { to });
      const said = restored.unchanged ? `${restored.path} is that already` : `restored version ${version} as ${restored.path}`;
      return facts(restored, said);
    },
  },
  {
    name: 'diff',
    args: '<path>',
    summary: 'show how two versions of a text differ',
    options: [
      { flags: '--from <n>', text: 'the older one, see versions' },
      { flags: '--to <n>', text: 'the other one; the newest if not given' },
    ],
    about: 'A unified diff. On a terminal control characters are shown as codes. Text of up to 1 MiB is compared.',
    examples: ['diff /notes.txt --from 17', 'diff /notes.txt --from 17 --to 21 --json'],
    async run(run, args, options) {
      const found = await (await run.client()).diff(argument(args, 0), neededNumber(options, 'from'), numberOption(options, 'to'));
      return { kind: 'content', pieces: once(found.diff), json: found };
    },
  },
  ...(['pin', 'unpin'] as const).map(
    (name): Command => ({
      name,
      args: '<path>',
      summary: name === 'pin' ? 'keep a version for ever' : 'keep a pinned version as long as others',
      options: [{ flags: '--version <n>', text: 'which one, see versions' }],
      examples: [`${name} /contract.pdf --version 17`],
      async run(run, args, options) {
        const [path, version] = [argument(args, 0), neededNumber(options, 'version')];
        await (await run.client())[name](path, version);
        return facts({ path, version }, `version ${version} of ${path} is ${name}ned`);
      },
    }),
  ),
  {
    name: 'who',
    args: '<path>',
    summary: 'show who made, changed, moved or removed it, the newest first',
    about: 'Each line names the user, the device and the operation, which undo takes. Works for paths that are gone too.',
    examples: ['who /reports/q3.pdf', 'who /reports --json'],
    async run(run, args) {
      const client = await run.client();
      return { kind: 'rows', rows: await namedRows(client, client.deeds(argument(args, 0)), deedLine) };
    },
  },
  {
    name: 'trash',
    args: '[path]',
    summary: 'show what was deleted, by whom and when',
    about: 'A deleted folder is one line. The first column is what undelete takes.',
    examples: ['trash', 'trash /reports --json'],
    async run(run, [path = '/']) {
      const client = await run.client();
      return { kind: 'rows', rows: await namedRows(client, client.trash(path), trashLine) };
    },
  },
  {
    name: 'undelete',
    args: '<what>',
    usage: '[options] <path|@id>',
    summary: 'bring back what was deleted, with all that was in it',
    options: [{ flags: '--to <path>', text: 'where to, if not where it was' }],
    examples: ['undelete /reports/q3.pdf', 'undelete @1234 --to /q3-again.pdf'],
    async run(run, args, options) {
      const to = textOption(options, 'to');
      const back = await (await run.client()).undelete(gone(argument(args, 0)), to === undefined ? {} : { to });
      return facts(back, `${back.path} is there again`);
    },
  },
];
