import { makeZip } from 'client-zip';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { foldName } from '../../Models/names.ts';
import type { ListedEntry } from '../../Storage/metadata.ts';

/** Where a zip comes from: the folder at `path` and its files, named as `Metadata` names them. */
export type ZipSource = {
  /** The entries of a folder in pages, in the order of their folded names. */
  readonly entries: (path: string) => AsyncIterable<readonly ListedEntry[]>;
  /** Of files; `null` for one that is not there any more. */
  readonly contents: (paths: readonly string[]) => Promise<readonly (AsyncIterable<Uint8Array> | null)[]>;
};

type ZipEntry = {
  readonly name: string;
  readonly lastModified: Date;
  readonly mode: number;
  readonly input?: AsyncIterable<Uint8Array>;
};

/**
 * A folder and all below it as a zip, stored without compression and written as it is read. Symlinks are left out. No name in it climbs, and no two
 * become one on a file system that folds names: what would be taken for a separator or a drive is written as `_`.
 * @throws while it is read: AppError `too_large`, and what the source throws; what was given out until then is no whole zip
 */
export function zipOf(source: ZipSource, root: { readonly path: string; readonly name: string }): AsyncIterable<Uint8Array> {
  return gathered(makeZip(entriesBelow(source, root)) as unknown as AsyncIterable<Uint8Array>); // Node's web streams can be iterated
}

const GATHERED_BYTES = 64 * 1024;

/** The format comes in pieces of a few bytes each. */
async function* gathered(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    small.push(piece);
    bytes += piece.length;
    if (bytes < GATHERED_BYTES) continue;
    yield small.length === 1 ? piece : Buffer.concat(small);
    small = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(small);
}

/** @throws AppError `too_large` with more entries than a zip may have, before any byte is sent */
export async function checkZipSize(source: Pick<ZipSource, 'entries'>, path: string): Promise<void> {
  let count = 1;
  const folders = [path]; // it grows while it is gone through
  for (const folder of folders) {
    for await (const page of source.entries(folder)) {
      count += page.length;
      if (count > LIMITS.zipEntriesMax) throw tooMany();
      for (const entry of page) if (entry.kind === 'folder') folders.push(`${folder}/${entry.name}`);
    }
  }
}

function tooMany(): AppError {
  return new AppError('too_large', `a zip has at most ${LIMITS.zipEntriesMax} entries: take a folder of it`);
}

type Named = { readonly entry: ListedEntry; readonly name: string };

/** Folder after folder, so that only the names of one are held at a time. */
async function* entriesBelow(source: ZipSource, root: { path: string; name: string }): AsyncGenerator<ZipEntry> {
  let count = 1;
  const folders = [{ path: root.path, name: safeName(root.name) }]; // it grows while it is gone through
  for (const { path, name } of folders) {
    const taken = new Set<string>();
    const unsafe: ListedEntry[] = [];
    const put = async function* (entries: readonly Named[]): AsyncGenerator<ZipEntry> {
      const files: Named[] = [];
      for (const { entry, name: own } of entries) {
        taken.add(foldName(own));
        if (entry.kind === 'folder') folders.push({ path: `${path}/${entry.name}`, name: `${name}/${own}` });
        else files.push({ entry, name: `${name}/${own}` });
      }
      yield* fileEntries(source, path, files);
    };
    for await (const page of source.entries(path)) {
      count += page.length;
      if (count > LIMITS.zipEntriesMax) throw tooMany();
      const entries = page.filter((entry) => entry.kind !== 'symlink');
      for (const entry of entries) if (!isSafe(entry.name)) unsafe.push(entry);
      yield* put(entries.filter((entry) => isSafe(entry.name)).map((entry) => ({ entry, name: entry.name })));
    }
    for (const entry of unsafe) yield* put([{ entry, name: freeName(safeName(entry.name), taken) }]); // once it is known which are taken
    if (taken.size === 0) yield { name: `${name}/`, lastModified: new Date(), mode: 0o755 };
  }
}

const FILES_AT_ONCE = 256;

async function* fileEntries(source: ZipSource, folder: string, files: readonly Named[]): AsyncGenerator<ZipEntry> {
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    const some = files.slice(at, at + FILES_AT_ONCE);
    const contents = await source.contents(some.map(({ entry }) => `${folder}/${entry.name}`));
    for (const [i, { entry, name }] of some.entries()) {
      const input = contents[i];
      if (input != null) yield { name, lastModified: dateOf(entry.mtimeUs), mode: entry.mode, input };
    }
  }
}

const EARLIEST_MS = Date.UTC(1980, 0, 2); // what the format can say, in any time zone
const LATEST_MS = Date.UTC(2107, 11, 30);

function dateOf(mtimeUs: number): Date {
  return new Date(Math.min(Math.max(mtimeUs / 1000, EARLIEST_MS), LATEST_MS));
}

function safeName(name: string): string {
  return name.replaceAll('\\', '_').replace(/^([a-z]):/i, '$1_');
}

function isSafe(name: string): boolean {
  return safeName(name) === name;
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? wanted : `${wanted} (${n})`;
    if (!taken.has(foldName(name))) return name;
  }
}
