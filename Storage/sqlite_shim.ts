import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

type Row = Record<string, unknown>;
type Cells = readonly unknown[];

/** How a column of a result becomes a property: blobs and expressions may hold bytes, which are handed out as Buffer. */
type Column = { readonly name: string; readonly mayBeBytes: boolean };

const STATEMENTS_MAX = 400;

/**
 * node:sqlite takes an object given as first parameter for named parameters, so a Date would be stored silently as NULL.
 * Only what both databases store the same way goes through.
 */
function checked(parameters: readonly unknown[]): readonly SQLInputValue[] {
  for (const value of parameters) {
    const kind = typeof value;
    if (kind === 'number' || kind === 'string' || kind === 'bigint' || value === null || value instanceof Uint8Array) continue;
    throw new TypeError(`a SQL parameter must be null, number, string or bytes, not ${kind}`);
  }
  return parameters as readonly SQLInputValue[];
}

function asBuffer(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function rowOf(columns: readonly Column[], cells: Cells): Row {
  const row: Row = {};
  for (let i = 0; i < columns.length; i += 1) {
    const column = columns[i] as Column;
    row[column.name] = column.mayBeBytes ? asBuffer(cells[i]) : cells[i];
  }
  return row;
}

function statementOf(prepared: StatementSync): SqliteStatement {
  const columns: Column[] = prepared.columns().map(({ name, type }) => ({ name, mayBeBytes: type === null || type === 'BLOB' }));
  // Arrays, because node:sqlite's row objects have no prototype and cost twice as much.
  prepared.setReturnArrays(true);
  const toRow = (cells: unknown): Row => rowOf(columns, cells as Cells);
  return {
    reader: columns.length > 0,
    all: (parameters) => prepared.all(...checked(parameters)).map(toRow),
    run: (parameters) => prepared.run(...checked(parameters)),
    iterate: (parameters) => prepared.iterate(...checked(parameters)).map(toRow) as IterableIterator<unknown>,
  };
}

const NOTHING: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator](),
};

/** What Kysely's SqliteDialect needs, on node:sqlite; statements are prepared once per text, the least recently used is dropped. */
export function sqliteShim(database: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>();
  return {
    close: () => database.close(),
    prepare(text) {
      // A full disk or an I/O error has rolled back already; rolling back again would fail and hide the reason.
      if (text === 'rollback' && !database.isTransaction) return NOTHING;
      // A deferred transaction that turns into a writer can fail half way; ours take the write lock at once.
      const query = text === 'begin' ? 'begin immediate' : text;
      const known = statements.get(query);
      if (known !== undefined) {
        statements.delete(query);
        statements.set(query, known);
        return known;
      }
      const statement = statementOf(database.prepare(query));
      statements.set(query, statement);
      if (statements.size > STATEMENTS_MAX) {
        const [oldest] = statements.keys();
        if (oldest !== undefined) statements.delete(oldest);
      }
      return statement;
    },
  };
}

/** @param cacheKiB memory for pages */
export function openSqlite(file: string, options: { readOnly: boolean; cacheKiB: number; busyTimeoutMs: number }): DatabaseSync {
  const database = new DatabaseSync(file, {
    readOnly: options.readOnly,
    timeout: options.busyTimeoutMs,
    enableForeignKeyConstraints: true,
    defensive: true,
  });
  // The log is moved into the file about every 32 MiB: rarely enough that a bulk load does not wait for it, and it cannot grow much further,
  // since readers are short.
  const writing = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=8192; PRAGMA journal_size_limit=${64 * 1024 * 1024};`;
  database.exec(`${options.readOnly ? '' : writing}
    PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-${options.cacheKiB};`);
  return database;
}
