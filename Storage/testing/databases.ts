import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { DatabaseAddress } from '../database.ts';
import type { TestPostgres } from './postgres.ts';

/** A file of its own, gone with the test. */
export async function sqliteAddress(t: TestContext): Promise<DatabaseAddress> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-database-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { kind: 'sqlite', file: join(folder, 'driftless.db') };
}

/** An empty database of each kind. @param postgres asked for when a test runs: it is started before */
export function emptyDatabases(postgres: () => TestPostgres): readonly [string, (t: TestContext) => Promise<DatabaseAddress>][] {
  return [
    ['SQLite', sqliteAddress],
    ['PostgreSQL', async () => ({ kind: 'postgres', url: await postgres().createDatabase() })],
  ];
}
