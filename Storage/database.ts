import { closeSync, existsSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { CompiledQuery, Kysely, PostgresDialect, SqliteDialect, type Transaction } from 'kysely';
import type { Pool } from 'pg';
import { AppError } from '../Models/errors.ts';
import { databaseError, isFatalForWrites, isRetryable } from './database_errors.ts';
import { syncFolder } from './durable_file.ts';
import { type Applied, checkMigrated, type Dialect, type MigrationTarget, migrate } from './migrate.ts';
import { openSqlite, sqliteShim } from './sqlite_shim.ts';
import { straightKysely } from './straight_executor.ts';
import { typedDialect } from './typed_dialect.ts';

/**
 * Parameters and results hold only null, numbers (integers below 2^53), strings and Buffers. What fails fails as `AppError` `storage_full`,
 * `storage_unavailable` or `corrupt`, reads too; what no code is for comes as the database gave it.
 */
export type Database<Schema> = {
  /** For reading. On SQLite a read-only connection of its own, so that a read never waits for the writer and never sees half of a `write`. */
  readonly db: Kysely<Schema>;
  readonly dialect: Dialect;
  /**
   * One transaction, durable when the promise resolves, nothing kept when it rejects. On SQLite one at a time, in the order of the
   * calls; on PostgreSQL (read committed) it is run again after a deadlock or serialization failure, so `body` must have no other effects
   * and must wait for nothing but the database.
   * @throws whatever `body` throws
   */
  write<Result>(body: (trx: Transaction<Schema>) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
};

export type DatabaseAddress =
  | {
      readonly kind: 'sqlite';
      readonly file: string;
      readonly readOnly?: boolean;
      /** How long the process stands still while another one writes. */
      readonly busyTimeoutMs?: number;
    }
  | { readonly kind: 'postgres'; readonly url: string; readonly readOnly?: boolean };

const WRITE_ATTEMPTS_MAX = 8;
const WRITER_CACHE_KIB = 12 * 1024;
const READER_CACHE_KIB = 4 * 1024;
const BUSY_TIMEOUT_MS = 5000;

/**
 * Opens a database and brings it to the newest migration; with `readOnly` it must have been set up by its owner.
 * @throws AppError `data_folder_unusable`, `storage_unavailable`, `corrupt`
 */
export async function openDatabase<Schema>(address: DatabaseAddress, migrationsFolder: URL): Promise<Database<Schema>> {
  try {
    return address.kind === 'sqlite'
      ? await openOnSqlite<Schema>(address, migrationsFolder)
      : await openOnPostgres<Schema>(address.url, address.readOnly ?? false, migrationsFolder);
  } catch (error) {
    throw databaseError(error);
  }
}

/** Closing twice is closing once. */
function once(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => (closing ??= close());
}

function refuseWrite(): Promise<never> {
  throw new Error('this database was opened for reading only');
}

function kyselyOn<Schema>(connection: DatabaseSync): Kysely<Schema> {
  const database = { ...sqliteShim(connection), close: () => undefined };
  return straightKysely<Schema>(typedDialect(new SqliteDialect({ database })));
}

async function createPrivately(file: string): Promise<void> {
  if (existsSync(file)) return;
  try {
    closeSync(openSync(file, 'a', 0o600)); // SQLite gives its log files the mode of the database
  } catch (cause) {
    throw new AppError('data_folder_unusable', `cannot write the database ${file}`, { cause });
  }
  await syncFolder(dirname(file));
}

function sqliteTarget(connection: DatabaseSync): MigrationTarget {
  return {
    dialect: 'sqlite',
    async transaction(body) {
      connection.exec('BEGIN IMMEDIATE');
      try {
        await body(
          async (text) => connection.exec(text),
          async (text) => connection.prepare(text).all() as Applied[],
        );
        connection.exec('COMMIT');
      } catch (error) {
        if (connection.isTransaction) connection.exec('ROLLBACK');
        throw error;
      }
    },
  };
}

async function openOnSqlite<Schema>(
  { file, readOnly = false, busyTimeoutMs = BUSY_TIMEOUT_MS }: Extract<DatabaseAddress, { kind: 'sqlite' }>,
  migrationsFolder: URL,
): Promise<Database<Schema>> {
  if (readOnly && !existsSync(file)) throw new AppError('storage_unavailable', 'the database is not set up yet');
  if (!readOnly) await createPrivately(file);
  const writer = readOnly ? null : openSqlite(file, { readOnly: false, cacheKiB: WRITER_CACHE_KIB, busyTimeoutMs });
  let reader: DatabaseSync | undefined;
  try {
    if (writer !== null) await migrate(sqliteTarget(writer), migrationsFolder);
    reader = openSqlite(file, { readOnly: true, cacheKiB: READER_CACHE_KIB, busyTimeoutMs });
    const query = reader.prepare.bind(reader);
    if (writer === null) await checkMigrated(async (text) => query(text).all() as Applied[], 'sqlite', migrationsFolder);
  } catch (error) {
    reader?.close();
    writer?.close();
    throw error;
  }
  const opened = reader;
  const write: Database<Schema>['write'] = writer === null ? refuseWrite : oneWriter(kyselyOn<Schema>(writer));
  return {
    db: kyselyOn<Schema>(opened),
    dialect: 'sqlite',
    write,
    close: once(async () => {
      if (writer !== null) await write(async () => undefined).catch(() => undefined); // those begun before end first
      opened.close();
      writer?.close(); // last, because the last to close moves the log into the file
    }),
  };
}

/** Runs write transactions one after another. After an I/O error nothing more is acknowledged: only opening anew tells what is on disk. */
function oneWriter<Schema>(db: Kysely<Schema>): Database<Schema>['write'] {
  let last: Promise<unknown> = Promise.resolve();
  let broken: unknown = null;
  return (body) => {
    const run = last.then(async () => {
      if (broken !== null) throw new AppError('storage_unavailable', 'the database failed; restart the server', { cause: broken });
      try {
        return await db.transaction().execute(body);
      } catch (error) {
        if (isFatalForWrites(error)) broken = error;
        throw error;
      }
    });
    last = run.then(
      () => undefined,
      () => undefined, // the caller has the error
    );
    return run;
  };
}

const INT8 = 20;
const NUMERIC = 1700;

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`the database holds a number that is not a safe integer: ${text}`);
  return value;
}

/** The driver is loaded by whoever uses it. */
async function openPool(url: string, readOnly: boolean): Promise<Pool> {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 60_000,
    idle_in_transaction_session_timeout: 60_000, // a server that hangs must not hold its locks for ever
    options: `-c synchronous_commit=on -c default_transaction_read_only=${readOnly ? 'on' : 'off'}`,
    types: {
      getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
        oid === INT8 || oid === NUMERIC ? integer : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
    },
  });
  // An idle connection that breaks is taken out of the pool; the next query opens another or fails itself.
  pool.on('error', () => undefined);
  return pool;
}

function postgresTarget(pool: Pool): MigrationTarget {
  return {
    dialect: 'postgres',
    async transaction(body) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await client.query("SELECT pg_advisory_xact_lock(hashtext('driftless migrations'))");
        await body(
          async (text) => void (await client.query(text)),
          async (text) => (await client.query<Applied>(text)).rows,
        );
        await client.query('COMMIT');
        client.release();
      } catch (error) {
        client.release(true); // closing the connection rolls back
        throw error;
      }
    },
  };
}

async function openOnPostgres<Schema>(url: string, readOnly: boolean, migrationsFolder: URL): Promise<Database<Schema>> {
  const pool = await openPool(url, readOnly);
  try {
    if (readOnly) await checkMigrated(async (text) => (await pool.query<Applied>(text)).rows, 'postgres', migrationsFolder);
    else await migrate(postgresTarget(pool), migrationsFolder);
  } catch (error) {
    await pool.end();
    throw error;
  }
  const db = new Kysely<Schema>({ dialect: typedDialect(new PostgresDialect({ pool })) });
  return { db, dialect: 'postgres', write: readOnly ? refuseWrite : retrying(db), close: once(() => pool.end()) };
}

function retrying<Schema>(db: Kysely<Schema>): Database<Schema>['write'] {
  return async (body) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await db.transaction().execute(body);
      } catch (error) {
        if (!isRetryable(error) || attempt === WRITE_ATTEMPTS_MAX) throw error;
      }
    }
  };
}

// biome-ignore lint/suspicious/noExplicitAny: ready-made SQL runs on a database or transaction of any schema
export type AnyDatabase = Kysely<any>;

/** Runs ready-made SQL with `?` (SQLite) or `$n` (PostgreSQL) parameters and gives its rows. */
export async function runSql<Row>(db: AnyDatabase, text: string, parameters: readonly unknown[]): Promise<Row[]> {
  const result = await db.executeQuery<Row>(CompiledQuery.raw(text, parameters as unknown[]));
  return result.rows;
}
