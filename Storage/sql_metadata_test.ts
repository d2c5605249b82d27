import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Metadata } from './metadata.ts';
import { openSqlMetadata } from './sql_metadata.ts';
import { metadataContract } from './testing/metadata_contract.ts';
import type { MetadataPlace } from './testing/metadata_fixture.ts';
import { startPostgres, type TestPostgres } from './testing/postgres.ts';

type Opened = { readonly stores: Metadata[]; readonly folder: string };

function onSqlite(opened: Opened, name = 'driftless.db'): MetadataPlace {
  const file = join(opened.folder, name);
  return {
    async open(options) {
      const store = await openSqlMetadata({ kind: 'sqlite', file }, options);
      opened.stores.push(store);
      return store;
    },
    async copy() {
      await copyFile(file, `${file}.copy`);
      return onSqlite(opened, `${name}.copy`);
    },
  };
}

metadataContract('SQLite', async (t) => {
  const opened: Opened = { stores: [], folder: await mkdtemp(join(tmpdir(), 'driftless-metadata-')) };
  t.after(async () => {
    for (const store of opened.stores) await store.close();
    await rm(opened.folder, { recursive: true, force: true });
  });
  return onSqlite(opened);
});

let postgres: TestPostgres;
before(async () => {
  postgres = await startPostgres();
});
after(() => postgres.close());

function onPostgres(opened: Metadata[], url: string): MetadataPlace {
  return {
    async open(options) {
      const store = await openSqlMetadata({ kind: 'postgres', url }, options);
      opened.push(store);
      return store;
    },
    copy: async () => onPostgres(opened, await postgres.createDatabase(url)),
  };
}

metadataContract('PostgreSQL', async (t) => {
  const opened: Metadata[] = [];
  t.after(async () => {
    for (const store of opened) await store.close();
  });
  return onPostgres(opened, await postgres.createServerDatabase());
});
