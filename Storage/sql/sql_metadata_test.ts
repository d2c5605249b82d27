import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Metadata } from '../metadata.ts';
import { openSqlMetadata } from '../sql_metadata.ts';
import { usePostgres } from '../testing/databases.ts';
import { metadataContract } from '../testing/metadata_contract.ts';
import type { MetadataPlace } from '../testing/metadata_fixture.ts';

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

const postgres = usePostgres();

function onPostgres(t: TestContext, opened: Metadata[], url: string): MetadataPlace {
  return {
    async open(options) {
      const store = await openSqlMetadata({ kind: 'postgres', url }, options);
      opened.push(store);
      return store;
    },
    copy: async () => onPostgres(t, opened, await postgres().createDatabase(t, url)),
  };
}

metadataContract('PostgreSQL', async (t) => {
  const opened: Metadata[] = [];
  t.after(async () => {
    for (const store of opened) await store.close();
  });
  return onPostgres(t, opened, await postgres().createReadyDatabase(t));
});
