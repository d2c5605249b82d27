import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import type { DatabaseAddress } from '../database.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

/** A file of its own, gone with the test. */
export async function sqliteAddress(t: TestContext): Promise<DatabaseAddress> {
  const folder = await temporaryFolder(t);
  return { kind: 'sqlite', file: join(folder, 'driftless.db') };
}

/** A PostgreSQL for the tests of a file; to be called while the file is loaded. @returns it, once tests run */
export function usePostgres(): () => TestPostgres {
  let postgres: TestPostgres | undefined;
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres?.close());
  return () => {
    if (postgres === undefined) throw new Error('PostgreSQL is there once tests run');
    return postgres;
  };
}

/** A new database of each kind, to be called while a file of tests is loaded. That on PostgreSQL has our tables: to make them takes longer than most tests. */
export function newDatabases(): readonly [string, (t: TestContext) => Promise<DatabaseAddress>][] {
  const postgres = usePostgres();
  return [
    ['SQLite', sqliteAddress],
    ['PostgreSQL', async (t) => ({ kind: 'postgres', url: await postgres().createReadyDatabase(t) })],
  ];
}
