import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Metadata } from './metadata.ts';
import { openSqlMetadata } from './sql_metadata.ts';
import { metadataContract } from './testing/metadata_contract.ts';
import { startPostgres, type TestPostgres } from './testing/postgres.ts';

metadataContract('SQLite', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-metadata-'));
  const opened: Metadata[] = [];
  t.after(async () => {
    for (const store of opened) await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    async open(options) {
      const store = await openSqlMetadata({ kind: 'sqlite', file: join(folder, 'driftless.db') }, options);
      opened.push(store);
      return store;
    },
  };
});

let postgres: TestPostgres;
before(async () => {
  postgres = await startPostgres();
});
after(() => postgres.close());

metadataContract('PostgreSQL', async (t) => {
  const url = await postgres.createDatabase();
  const opened: Metadata[] = [];
  t.after(async () => {
    for (const store of opened) await store.close();
  });
  return {
    async open(options) {
      const store = await openSqlMetadata({ kind: 'postgres', url }, options);
      opened.push(store);
      return store;
    },
  };
});
