import { setTimeout as delay } from 'node:timers/promises';
import { bulkQuery } from './bulk.ts';
import type { Database } from './database.ts';
import { JOURNAL_KINDS, type MetadataSchema, type Rows } from './sql/sql_metadata_schema.ts';
import type { Touched } from './touched.ts';

/**
 * Keeps the index of names up with the journals. PostgreSQL does that itself with each row; in SQLite it would cost a put a third of its
 * time, so there it is done when nothing else is, and, for the spaces that are searched, before a search.
 */
export type NameIndex = {
  /** The names of these spaces are in the index when this resolves. */
  catchUp(spaces: readonly number[]): Promise<void>;
  /** From now on what was committed is indexed soon, also what was not when the server was last stopped. */
  begin(): void;
  /** Something was committed. Returns at once and never throws. */
  follow(touched: Pick<Touched, 'spaces'>): void;
  close(): Promise<void>;
};

/** Rows of a journal that are indexed in one transaction: some ten milliseconds of the writer. */
const ROWS = 512;
/** Nothing was committed for so long before names are indexed that nobody waits for. */
const QUIET_MS = 500;
/** Between two such transactions. */
const PAUSE_MS = 20;

const UNNAMED: readonly number[] = (['delete', 'attributes', 'leave', 'members'] as const).map((kind) => JOURNAL_KINDS.indexOf(kind));
/** What may bring a mount, or give one another name; the journal speaks of the folder that is mounted. */
const OF_MOUNTS: ReadonlySet<number> = new Set((['share', 'join', 'move', 'import'] as const).map((kind) => JOURNAL_KINDS.indexOf(kind)));

/** The letters that stand for a space in `names.mark`, from a private part of Unicode; below 2^45. */
export function spaceMark(space: number): string {
  const digits = [Math.floor(space / 2 ** 30), Math.floor(space / 2 ** 15) % 2 ** 15, space % 2 ** 15];
  return String.fromCodePoint(...digits.map((digit) => 0xf0000 + digit));
}

/** A name as it is indexed: letters of marks in it would put it among the names of another space. A search asks the same way. */
export function indexedName(key: string): string {
  return key.replaceAll(/[\u{f0000}-\u{f7fff}]/gu, '\ufffd');
}

export function openNameIndex(database: Database<MetadataSchema>): NameIndex {
  return database.dialect === 'sqlite'
    ? new SqliteNameIndex(database)
    : { catchUp: async () => undefined, begin: () => undefined, follow: () => undefined, close: async () => undefined };
}

type NamedRow = { readonly id: number; readonly key: string };

class SqliteNameIndex implements NameIndex {
  readonly #database: Database<MetadataSchema>;
  readonly #nodes = bulkQuery<NamedRow & { space: number }>(
    'sqlite',
    { id: 'int8' },
    'SELECT n.id, n.key, n.space FROM v CROSS JOIN nodes n WHERE n.id = v.id',
  );
  readonly #write = bulkQuery<never>(
    'sqlite',
    { id: 'int8', key: 'text', mark: 'text' },
    'INSERT OR REPLACE INTO names (rowid, key, mark) SELECT id, key, mark FROM v',
  );
  readonly #closing = new AbortController();
  readonly #waiting = new Set<number>();
  #begun = false;
  #touchedAtMs = 0;
  #following: Promise<void> | null = null;

  constructor(database: Database<MetadataSchema>) {
    this.#database = database;
  }

  async catchUp(spaces: readonly number[]): Promise<void> {
    for (const space of await this.#behind(spaces)) while (await this.#advance(space));
  }

  begin(): void {
    this.#begun = true;
    this.#start();
  }

  follow({ spaces }: Pick<Touched, 'spaces'>): void {
    if (!this.#begun) return;
    for (const space of spaces) this.#waiting.add(space);
    this.#touchedAtMs = performance.now();
    this.#start();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#following;
  }

  #start(): void {
    if (this.#closing.signal.aborted) return;
    this.#following ??= this.#followAll()
      .catch(() => undefined) // what is missing is done after the next commit, or by a search, which then says what is wrong
      .finally(() => {
        this.#following = null;
      });
  }

  async #followAll(): Promise<void> {
    const { signal } = this.#closing;
    if (this.#touchedAtMs === 0) for (const space of await this.#behind(null)) this.#waiting.add(space);
    while (this.#waiting.size > 0) {
      for (const space of this.#waiting) {
        do await this.#quiet();
        while (await this.#advance(space));
        this.#waiting.delete(space);
        await delay(PAUSE_MS, undefined, { signal });
      }
    }
  }

  async #quiet(): Promise<void> {
    const { signal } = this.#closing;
    await delay(PAUSE_MS, undefined, { signal });
    for (let left = this.#stillMs(); left > 0; left = this.#stillMs()) await delay(left, undefined, { signal });
  }

  #stillMs(): number {
    return this.#touchedAtMs === 0 ? 0 : this.#touchedAtMs + QUIET_MS - performance.now();
  }

  async #behind(spaces: readonly number[] | null): Promise<number[]> {
    const query = this.#database.db
      .selectFrom('spaces as s')
      .leftJoin('name_marks as m', 'm.space', 's.id')
      .select('s.id')
      .where((e) => e('s.head', '>', e.fn.coalesce('m.seq', e.val(0))));
    const rows = await (spaces === null ? query : query.where('s.id', 'in', [...spaces])).execute();
    return rows.map(({ id }) => id);
  }

  /** One part of a space. @returns whether there is more */
  #advance(space: number): Promise<boolean> {
    return this.#database.write(async (trx) => {
      const mark = await trx.selectFrom('name_marks').select('seq').where('space', '=', space).executeTakeFirst();
      const rows = await trx
        .selectFrom('journal')
        .select(['seq', 'node', 'kind'])
        .where('space', '=', space)
        .where('seq', '>', mark?.seq ?? 0)
        .orderBy('seq')
        .limit(ROWS)
        .execute();
      const last = rows.at(-1);
      if (last === undefined) return false;
      const named = new Set(rows.flatMap(({ node, kind }) => (UNNAMED.includes(kind) ? [] : [node])));
      const nodes = await this.#nodes(
        trx,
        Array.from(named, (id) => [id]),
      );
      const own: NamedRow[] = nodes.filter((node) => node.space === space); // one that went to another space is in the journal there
      if (rows.some(({ kind }) => OF_MOUNTS.has(kind))) own.push(...(await mountsOf(trx, space)));
      const letters = spaceMark(space);
      await this.#write(
        trx,
        own.map(({ id, key }) => [id, indexedName(key), letters]),
      );
      await trx
        .insertInto('name_marks')
        .values({ space, seq: last.seq })
        .onConflict((conflict) => conflict.column('space').doUpdateSet({ seq: last.seq }))
        .execute();
      return rows.length === ROWS;
    });
  }
}

function mountsOf(trx: Rows, space: number): Promise<NamedRow[]> {
  return trx.selectFrom('nodes').select(['id', 'key']).where('space', '=', space).where('mount', 'is not', null).execute();
}
