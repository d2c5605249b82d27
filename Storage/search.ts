import { type RawBuilder, sql } from 'kysely';
import { AppError } from '../Models/errors.ts';
import { EXTENSIONS, type FileKind } from '../Models/file_kinds.ts';
import { LIMITS } from '../Models/limits.ts';
import { foldName } from '../Models/names.ts';
import type { Entry, EntryKind } from '../Models/operations.ts';
import { type Database, runSql } from './database.ts';
import type { Page, Principal } from './metadata.ts';
import { indexedName, type NameIndex, spaceMark } from './name_index.ts';
import { reachedPaths } from './sql/sql_metadata_anchors.ts';
import { entryAt } from './sql/sql_metadata_list.ts';
import { ENTRY_KINDS, KIND, type MetadataSchema, NODE_COLUMNS, type Node, type Rows } from './sql/sql_metadata_schema.ts';
import { nodeLookups } from './sql/sql_metadata_tree.ts';
import { loadView, type View } from './sql/sql_metadata_view.ts';

export type SearchKind = EntryKind | FileKind;
export type SearchQuery = {
  /** Part of a name, compared folded. */
  readonly text: string;
  readonly kind: SearchKind | null;
  /** Modified at this time or later, microseconds since 1970. */
  readonly sinceUs: number | null;
  /** Of more bytes than this; with it only files are found. */
  readonly largerBytes: number | null;
  readonly after: string | null; // opaque, from the previous page
  readonly limit: number;
};

/** Finds by name whatever the caller can read, wherever it is. */
export type Search = {
  /**
   * What was made last comes first. A page looks at a bounded number of names, so it may hold fewer entries than asked for, even none, and
   * have a `next` all the same.
   * @throws AppError `cursor_invalid`, `request_invalid` (no text)
   */
  search(principal: Principal, query: SearchQuery): Promise<Page>;
};

/** Names that one page looks at, at the most: some tens of milliseconds. */
const CANDIDATES = 20_000;

/** @param candidatesMax names that one page looks at */
export function sqlSearch(database: Database<MetadataSchema>, names: Pick<NameIndex, 'catchUp'>, candidatesMax = CANDIDATES): Search {
  const { db, dialect } = database;
  const lookups = nodeLookups(dialect);

  /** SQL for ids of nodes of the view whose names may hold the text, `count` of those below `before`, the highest first. */
  function candidates(view: View, text: string, { before, count }: Window): RawBuilder<unknown> {
    if (dialect === 'sqlite')
      return sql`SELECT rowid AS id FROM names WHERE names MATCH ${matching(view.spaces, text)} AND rowid < ${before} ORDER BY rowid DESC LIMIT ${count}`;
    return sql`SELECT id FROM nodes WHERE space IN (${ids(view.spaces)}) AND deleted_seq IS NULL
      AND key LIKE ${containing(text)} AND id < ${before} ORDER BY id DESC LIMIT ${count}`;
  }

  async function page(view: View, query: SearchQuery): Promise<Page> {
    const text = foldName(query.text);
    if (text === '') throw new AppError('request_invalid', 'search for at least one letter');
    let before = readPosition(query.after);
    if (view.home === null || text.includes('\0')) return { entries: [], next: null }; // no name holds it, and for SQLite a text ends there
    await names.catchUp(view.spaces.map(({ id }) => id));
    const limit = Math.min(Math.max(1, query.limit), LIMITS.pageEntriesMax);
    const found: Node[] = [];
    for (let left = candidatesMax, count = Math.min(left, 4 * limit); left > 0; count = Math.min(left, 8 * count)) {
      const window = candidates(view, text, { before, count });
      const nodes = await run<Node>(
        db,
        sql`SELECT ${sql.raw(NODE_COLUMNS)} FROM (${window}) c CROSS JOIN nodes n
          WHERE n.id = c.id AND n.deleted_seq IS NULL AND n.space IN (${ids(view.spaces)})
          AND n.key LIKE ${containing(text)} ESCAPE '\\' ${filters(query)} ORDER BY n.id DESC LIMIT ${limit - found.length + 1}`,
      );
      found.push(...nodes);
      if (found.length > limit) {
        const shown = found.slice(0, limit);
        return { entries: await reached(view, shown), next: String((shown.at(-1) as Node).id) };
      }
      const [seen] = await run<{ last: number | null; count: number }>(
        db,
        sql`SELECT min(id) AS last, count(*) AS count FROM (${window}) c`,
      );
      if (seen === undefined || seen.last === null || seen.count < count) return { entries: await reached(view, found), next: null };
      before = seen.last;
      left -= count;
    }
    return { entries: await reached(view, found), next: String(before) };
  }

  /** Those that no deleted folder hides, with their paths. */
  async function reached(view: View, nodes: readonly Node[]): Promise<Entry[]> {
    const own = (node: Node): number => (node.mount === null ? node.id : (view.byId.get(node.mount)?.root ?? node.id));
    const paths = await reachedPaths(db, lookups, view, nodes.map(own));
    const entries: Entry[] = [];
    for (const node of nodes) {
      const path = paths.get(own(node));
      const entry = path === undefined ? null : await entryAt({ lookups, db, view }, node, path);
      if (entry !== null) entries.push(entry);
    }
    return entries;
  }

  return {
    search: async (principal, query) => page(await loadView(db, principal.userId), query),
  };
}

/** A part of the candidates: a small one first, because what is common is found at once, and then larger ones. */
type Window = { readonly before: number; readonly count: number };

const ids = (spaces: View['spaces']): RawBuilder<unknown> => sql.join(spaces.map(({ id }) => sql.lit(id)));

function run<Row>(db: Rows, query: RawBuilder<unknown>): Promise<Row[]> {
  const { sql: text, parameters } = query.compile(db);
  return runSql<Row>(db, text, parameters);
}

/** @throws AppError `cursor_invalid` */
function readPosition(after: string | null): number {
  if (after === null) return Number.MAX_SAFE_INTEGER;
  if (!/^[0-9]{1,16}$/.test(after)) throw new AppError('cursor_invalid', 'not a position of a search');
  return Number(after);
}

/** The pattern for LIKE that finds folded text anywhere. */
const containing = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`;

/**
 * For MATCH: names of these spaces that hold each of the text's groups of three letters; of shorter text all names. Each third group and the
 * last will do, because the names are compared with the text in any case.
 */
function matching(spaces: View['spaces'], text: string): string {
  const quoted = (letters: string): string => `"${letters.replaceAll('"', '""')}"`;
  const letters = Array.from(indexedName(text));
  const groups: string[] = [];
  for (let at = 0; at + 3 <= letters.length; at += 3) groups.push(letters.slice(at, at + 3).join(''));
  if (letters.length > 3 && letters.length % 3 !== 0) groups.push(letters.slice(-3).join(''));
  return [`(${spaces.map(({ id }) => quoted(spaceMark(id))).join(' OR ')})`, ...groups.map(quoted)].join(' AND ');
}

function filters({ kind, sinceUs, largerBytes }: SearchQuery): RawBuilder<unknown> {
  const wanted: RawBuilder<unknown>[] = [];
  if (kind !== null) wanted.push(ofKind(kind));
  if (sinceUs !== null) wanted.push(sql`n.mtime_us >= ${sinceUs}`);
  if (largerBytes !== null) wanted.push(sql`n.kind = ${KIND.file} AND n.size > ${largerBytes}`);
  return wanted.length === 0 ? sql`` : sql`AND ${sql.join(wanted, sql` AND `)}`;
}

function ofKind(kind: SearchKind): RawBuilder<unknown> {
  const stored = ENTRY_KINDS.flatMap((entryKind, at) => (entryKind === kind ? [sql.lit(at)] : []));
  if (stored.length > 0) return sql`n.kind IN (${sql.join(stored)})`;
  const named = kind === 'other' ? Object.values(EXTENSIONS).flat() : EXTENSIONS[kind as keyof typeof EXTENSIONS];
  // a name that begins with its only dot has no extension
  const endings = sql.join(
    named.map((extension) => sql`n.key LIKE ${`_%.${extension.toUpperCase()}`}`),
    sql` OR `,
  );
  return kind === 'other' ? sql`n.kind = ${KIND.file} AND NOT (${endings})` : sql`n.kind = ${KIND.file} AND (${endings})`;
}
