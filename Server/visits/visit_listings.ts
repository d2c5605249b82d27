import type { Entry } from '../../Models/operations.ts';
import { isoFromMicroseconds } from '../../Models/rest.ts';
import { visible, visibleJson } from '../../Models/visible.ts';
import type { ListedEntry, Metadata } from '../../Storage/metadata.ts';
import { takesFiles, type Visit } from './visits.ts';

/** What a link leads to for programs and terminals, in pieces as the entries come. Names in JSON are exact; in text, what is hidden in them is shown. */

type Entries = AsyncIterable<readonly ListedEntry[]>;
export async function* entriesOf(
  metadata: Pick<Metadata, 'readFolders'>,
  { maker }: Visit,
  path: string,
): AsyncGenerator<readonly ListedEntry[]> {
  for await (const { entries } of metadata.readFolders(maker, [path])) yield entries;
}

type Facts = Pick<ListedEntry, 'name' | 'kind' | 'size' | 'mtimeUs'>;

function factsOf({ name, kind, size, mtimeUs }: Facts) {
  return { name, kind, size, mtime: isoFromMicroseconds(mtimeUs) };
}

export async function* listingJson(visit: Visit, entry: Entry, entries: Entries): AsyncGenerator<string> {
  const { link, below } = visit;
  const head = { ...factsOf({ ...entry, name: below.at(-1) ?? link.name }), mode: link.mode, uploads: takesFiles(visit) };
  yield `${visibleJson(head).slice(0, -1)},"entries":[`;
  let first = true;
  for await (const page of entries) {
    if (page.length === 0) continue;
    yield `${first ? '' : ','}${page.map((each) => visibleJson(factsOf(each))).join(',')}`;
    first = false;
  }
  yield ']}\n';
}

export async function* listingText(visit: Visit, entry: Entry, entries: Entries): AsyncGenerator<string> {
  if (entry.kind === 'file') yield line({ ...entry, name: visit.below.at(-1) ?? visit.link.name });
  for await (const page of entries) yield page.map(line).join('');
}

function line({ name, kind, size, mtimeUs }: Facts): string {
  const when = isoFromMicroseconds(mtimeUs).slice(0, 16).replace('T', ' ');
  const end = kind === 'folder' ? '/' : kind === 'symlink' ? '@' : '';
  return `${when}  ${String(size).padStart(15)}  ${visible(name)}${end}\n`;
}
