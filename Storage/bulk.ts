import { setImmediate } from 'node:timers/promises';
import { type AnyDatabase, runSql } from './database.ts';
import type { Dialect } from './migrate.ts';

export type SqlValue = null | number | string | Buffer;
export type ColumnType = 'int8' | 'text' | 'blob';

/** Rows per statement. Few sizes, so that few texts are compiled by us and prepared by the database; 64 was the fastest measured. */
const CLASSES = [64, 8, 1] as const;
/** Embedded, a statement never gives the event loop a turn; so many rows do. */
const ROWS_PER_TURN = 4096;

const CAST: Record<Dialect, Record<ColumnType, string>> = {
  sqlite: { int8: '', text: '', blob: '' },
  postgres: { int8: '::int8', text: '::text', blob: '::bytea' },
};

/** `(?,?),(?,?)` or `($1::int8,$2::text),($3,$4)`; PostgreSQL takes the types of a VALUES list from its first row. */
function tuples(dialect: Dialect, types: readonly (ColumnType | null)[], rows: number): string {
  let parameter = 0;
  const marks = (first: boolean): string =>
    types
      .map((type) => {
        parameter += 1;
        if (dialect === 'sqlite') return '?';
        return `$${parameter}${first && type !== null ? CAST.postgres[type] : ''}`;
      })
      .join(',');
  return Array.from({ length: rows }, (_, row) => `(${marks(row === 0)})`).join(',');
}

function textPerClass(make: (rows: number) => string): (rows: number) => string {
  const made = new Map<number, string>();
  return (rows) => {
    let text = made.get(rows);
    if (text === undefined) {
      text = make(rows);
      made.set(rows, text);
    }
    return text;
  };
}

function parametersOf(rows: readonly (readonly SqlValue[])[], from: number, count: number): SqlValue[] {
  const parameters: SqlValue[] = [];
  for (let i = from; i < from + count; i += 1) {
    for (const value of rows[i] as readonly SqlValue[]) parameters.push(value);
  }
  return parameters;
}

async function inClasses(total: number, run: (from: number, rows: number) => Promise<void>): Promise<void> {
  let sinceTurn = 0;
  for (let from = 0; from < total; ) {
    const rows = CLASSES.find((size) => size <= total - from) ?? 1;
    await run(from, rows);
    from += rows;
    sinceTurn += rows;
    if (sinceTurn >= ROWS_PER_TURN && from < total) {
      sinceTurn = 0;
      await setImmediate();
    }
  }
}

export type BulkInsert = (trx: AnyDatabase, rows: readonly (readonly SqlValue[])[]) => Promise<void>;

/** @param tail for example `ON CONFLICT DO NOTHING` */
export function bulkInsert(dialect: Dialect, table: string, columns: readonly string[], tail = ''): BulkInsert {
  const types = columns.map(() => null); // an INSERT knows them from the table
  const text = textPerClass((rows) => `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${tuples(dialect, types, rows)} ${tail}`);
  return (trx, rows) =>
    inClasses(rows.length, async (from, count) => void (await runSql(trx, text(count), parametersOf(rows, from, count))));
}

export type BulkQuery<Row> = (db: AnyDatabase, rows: readonly (readonly SqlValue[])[]) => Promise<Row[]>;

/**
 * A query over many keys at once: `body` sees them as the table `v`.
 * @returns the rows of all statements, in the database's order
 */
export function bulkQuery<Row>(dialect: Dialect, columns: Readonly<Record<string, ColumnType>>, body: string): BulkQuery<Row> {
  const types = Object.values(columns);
  const text = textPerClass((rows) => `WITH v (${Object.keys(columns).join(', ')}) AS (VALUES ${tuples(dialect, types, rows)}) ${body}`);
  return async (db, rows) => {
    const found: Row[] = [];
    await inClasses(rows.length, async (from, count) => {
      for (const row of await runSql<Row>(db, text(count), parametersOf(rows, from, count))) found.push(row);
    });
    return found;
  };
}
