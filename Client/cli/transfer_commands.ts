import { lstat, stat } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { childPath, splitPath } from '../../Models/names.ts';
import type { Driftless, TransferFailure, TransferOptions, TransferReport } from '../client.ts';
import { failureText, unreadableText } from '../failure_text.ts';
import { argument, type Command, type Outcome, type Run } from './command.ts';
import { countOf, formatSeconds, grouped } from './format.ts';
import { facts } from './output.ts';
import { createProgressLine } from './progress.ts';

async function isLocalFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null); // what cannot be read is named by the transfer itself
  return found?.isDirectory() ?? false;
}

/** Where each source goes: as `cp` has it, except that a folder alone is merged into the target instead of put below it. */
async function putSources(locals: readonly string[], remote: string): Promise<{ local: string; remote: string }[]> {
  splitPath(remote);
  const folder = remote.length > 1 && remote.endsWith('/') ? remote.slice(0, -1) : remote;
  const [only] = locals;
  if (locals.length === 1 && only !== undefined && (!remote.endsWith('/') || (await isLocalFolder(only))))
    return [{ local: only, remote: folder }];
  const sources = locals.map((local) => ({ local, remote: childPath(folder, basename(resolve(local))) }));
  const targets = new Set<string>();
  for (const source of sources) {
    if (targets.has(source.remote)) throw new AppError('request_invalid', `two of these would become ${source.remote}`);
    targets.add(source.remote);
  }
  return sources;
}

/** Of several sources one that is not there fails alone. */
async function missingSources(locals: readonly string[]): Promise<TransferFailure[]> {
  const checked = locals.map((path) =>
    lstat(path).then(
      () => null,
      (error: unknown): TransferFailure => ({ path, code: 'local_io', message: unreadableText(error) }),
    ),
  );
  return (await Promise.all(checked)).filter((failure) => failure !== null);
}

async function put(client: Driftless, locals: readonly string[], remote: string, options: TransferOptions): Promise<TransferReport> {
  const sources = await putSources(locals, remote);
  const [only] = sources;
  if (sources.length === 1 && only !== undefined) return putOne(client, only, remote, options);
  const missing = await missingSources(locals);
  const there = sources.filter(({ local }) => !missing.some(({ path }) => path === local));
  const report = await client.put(there, options);
  return { ...report, failures: [...missing, ...report.failures] };
}

/** A file sent to what turns out to be a folder goes into it; asking first would cost every other upload a round trip. */
async function putOne(
  client: Driftless,
  source: { local: string; remote: string },
  remote: string,
  options: TransferOptions,
): Promise<TransferReport> {
  const report = await client.put([source], options);
  const isFolderThere = source.remote === remote && report.failures.some((failure) => failure.code === 'not_a_file');
  if (!isFolderThere || (await isLocalFolder(source.local))) return report;
  return client.put([{ local: source.local, remote: childPath(remote, basename(resolve(source.local))) }], options);
}

/** A file fetched to a folder goes into it. Whether it is a file is only asked where the transfer itself would not find out in time. */
async function get(client: Driftless, remote: string, local: string, options: TransferOptions): Promise<TransferReport> {
  const parts = splitPath(remote);
  const inside = (): string => join(local, parts.at(-1) ?? '');
  if (!(await isLocalFolder(local))) {
    const isFileInNewFolder =
      (local.endsWith('/') || local.endsWith(sep)) && parts.length > 0 && (await client.entry(remote)).kind !== 'folder';
    return client.get([{ remote, local: isFileInNewFolder ? inside() : local }], options);
  }
  const report = await client.get([{ remote, local }], options);
  const isFolderInTheWay = report.failures.some((failure) => failure.path === remote && failure.code === 'already_exists');
  return isFolderInTheWay ? client.get([{ remote, local: inside() }], options) : report;
}

type Transfer = (client: Driftless, options: TransferOptions) => Promise<TransferReport>;

async function run(run: Run, verb: 'sent' | 'fetched', transfer: Transfer): Promise<Outcome> {
  const client = await run.client();
  const startedAt = performance.now();
  const line = createProgressLine(run.screen);
  try {
    const report = await run.interruptible((signal) => transfer(client, { signal, onProgress: (progress) => line.update(progress) }));
    const [failure] = report.failures;
    if (failure !== undefined && report.failures.length === 1 && report.files + report.unchanged === 0) {
      throw new AppError(failure.code, failureText(failure));
    }
    return { answer: facts(report, summary(report, verb, performance.now() - startedAt)), failures: report.failures };
  } finally {
    line.clear();
  }
}

function summary({ files, bytes, unchanged, failures }: TransferReport, verb: string, ms: number): string {
  const failed = failures.length === 0 ? '' : `, ${failures.length} failed`;
  const same = unchanged === 0 ? '' : `, ${grouped(unchanged)} unchanged`;
  return `${countOf(files, 'file')} ${verb}, ${formatBytes(bytes)}${same}${failed}, in ${formatSeconds(ms / 1000)}`;
}

export const TRANSFER_COMMANDS: readonly Command[] = [
  {
    name: 'put',
    args: '<paths...>',
    usage: '[options] <local...> <remote>',
    summary: 'send files and folders',
    about: [
      'A folder: the remote folder then holds what the local one holds; nothing else in it is removed.',
      'A file: it becomes the remote path, or goes into it if that is a folder or ends in "/". Several: they go into the remote folder.',
      'What is already the same is not sent. A file that fails does not stop the others; failures are named at the end.',
    ].join('\n'),
    examples: ['put q3.pdf /reports/', 'put ./photos /photos', 'put a.txt b.txt /notes'],
    async run(context, paths) {
      const locals = paths.slice(0, -1);
      const remote = paths.at(-1);
      if (locals.length === 0 || remote === undefined)
        throw new AppError('request_invalid', 'what to send, and where to? put LOCAL... REMOTE');
      return run(context, 'sent', (client, options) => put(client, locals, remote, options));
    },
  },
  {
    name: 'get',
    args: '<remote> <local>',
    summary: 'fetch a file or a folder',
    about: [
      'A folder: the local folder then holds what the remote one holds; nothing else in it is removed.',
      'A file: it becomes the local path, or goes into it if that is a folder or ends in "/".',
      'What is already the same is not fetched, and every byte is checked before a file takes its name.',
    ].join('\n'),
    examples: ['get /reports/q3.pdf .', 'get /photos ./photos'],
    run: (context, args) => run(context, 'fetched', (client, options) => get(client, argument(args, 0), argument(args, 1), options)),
  },
];
