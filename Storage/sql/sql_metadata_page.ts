import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { childPath, foldName } from '../../Models/names.ts';
import type { Entry } from '../../Models/operations.ts';
import { runSql } from '../database.ts';
import type { Page, PageQuery, SortKey } from '../metadata.ts';
import { entryAt, type FolderAt, type Reading, walk } from './sql_metadata_list.ts';
import { NODE_COLUMNS, type Node } from './sql_metadata_schema.ts';

/** A place in an order: the sorted value, then the node's id, so that it is unique. */
type Position = readonly [value: string | number, id: number];

const COLUMN: Record<SortKey, string> = { name: 'n.key', size: 'n.size', mtime: 'n.mtime_us' };
/** Folders searched by one statement. */
const FOLDERS = 256;

const sortedValue = (node: Node, sort: SortKey): string | number =>
  sort === 'name' ? node.key : sort === 'size' ? node.size : node.mtimeUs;

function writePosition(query: PageQuery, node: Node): string {
  return Buffer.from(JSON.stringify([query.sort, query.descending, sortedValue(node, query.sort), node.id])).toString('base64url');
}

/** @throws AppError `cursor_invalid`, also for a position in another order */
function readPosition(query: PageQuery): Position | null {
  if (query.after === null) return null;
  try {
    const [sort, descending, value, id] = JSON.parse(Buffer.from(query.after, 'base64url').toString()) as unknown[];
    const sound = typeof value === (query.sort === 'name' ? 'string' : 'number') && Number.isSafeInteger(id);
    if (sort === query.sort && descending === query.descending && sound) return [value as string | number, id as number];
  } catch (cause) {
    throw new AppError('cursor_invalid', 'not a position of this listing', { cause });
  }
  throw new AppError('cursor_invalid', 'not a position of this listing');
}

function before(a: Position, b: Position): boolean {
  if (a[0] === b[0]) return a[1] < b[1];
  if (typeof a[0] === 'number') return a[0] < (b[0] as number);
  return Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0] as string)) < 0; // the databases compare text by its UTF-8 bytes
}

/** The pattern for LIKE that finds `text` anywhere. */
const containing = (text: string): string => `%${foldName(text).replace(/[\\%_]/g, '\\$&')}%`;

/** The first rows behind the position among the children of some folders. */
async function firstOf(reading: Reading, query: PageQuery, folders: readonly FolderAt[], count: number): Promise<Node[]> {
  const column = sql.raw(COLUMN[query.sort]);
  const direction = sql.raw(query.descending ? 'DESC' : 'ASC');
  const position = readPosition(query);
  const comparison = sql.raw(query.descending ? '<' : '>');
  const behind = position === null ? sql`` : sql`AND (${column}, n.id) ${comparison} (${position[0]}, ${position[1]})`;
  const matching = query.search === null ? sql`` : sql`AND n.key LIKE ${containing(query.search)} ESCAPE '\\'`;
  const parents = sql.join(folders.map((folder) => sql.lit(folder.id)));
  const { sql: text, parameters } =
    sql`SELECT ${sql.raw(NODE_COLUMNS)} FROM nodes n WHERE n.parent IN (${parents}) AND n.deleted_seq IS NULL
    ${matching} ${behind} ORDER BY ${column} ${direction}, n.id ${direction} LIMIT ${count}`.compile(reading.db);
  return runSql<Node>(reading.db, text, parameters);
}

/** One folder's entries, or with `search` what is anywhere below it, in an order, by keyset. */
export async function page(reading: Reading, query: PageQuery): Promise<Page> {
  readPosition(query);
  const limit = Math.min(Math.max(1, query.limit), LIMITS.pageEntriesMax);
  let best: { node: Node; path: string }[] = [];
  const sign = query.descending ? -1 : 1;
  const order = (a: { node: Node }, b: { node: Node }): number => {
    const first = [sortedValue(a.node, query.sort), a.node.id] as const;
    const second = [sortedValue(b.node, query.sort), b.node.id] as const;
    return before(first, second) ? -sign : sign;
  };
  for await (const folders of walk(reading, query.path)) {
    for (let at = 0; at < folders.length; at += FOLDERS) {
      const some = folders.slice(at, at + FOLDERS);
      const paths = new Map(some.map((folder) => [folder.id, folder.path]));
      const nodes = await firstOf(reading, query, some, limit + 1);
      for (const node of nodes) best.push({ node, path: childPath(paths.get(node.parent as number) as string, node.name) });
    }
    best = best.sort(order).slice(0, limit + 1);
    if (query.search === null) break; // only the folder itself
  }
  const shown = best.slice(0, limit);
  const entries: Entry[] = [];
  for (const { node, path } of shown) {
    const entry = await entryAt({ ...reading, lookups: reading.store.lookups }, node, path);
    if (entry !== null) entries.push(entry);
  }
  const lastShown = shown.at(-1);
  return { entries, next: best.length > limit && lastShown !== undefined ? writePosition(query, lastShown.node) : null };
}
