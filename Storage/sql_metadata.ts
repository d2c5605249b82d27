import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { bulkQuery } from './bulk.ts';
import { type Database, type DatabaseAddress, openDatabase } from './database.ts';
import type { Metadata, Principal, StoredChunk } from './metadata.ts';
import type { ManifestRow, Store } from './sql/sql_metadata_batch.ts';
import { changes } from './sql/sql_metadata_changes.ts';
import { openChunks, openPacks } from './sql/sql_metadata_chunks.ts';
import { commit, openBatch, SPARE_IDS } from './sql/sql_metadata_commit.ts';
import { feed } from './sql/sql_metadata_feed.ts';
import { leaseIds } from './sql/sql_metadata_ids.ts';
import { ledgerStatements } from './sql/sql_metadata_ledger.ts';
import { listStatements, manifests, olderChunks, type Reading, readFolders, stat, walk } from './sql/sql_metadata_list.ts';
import { page } from './sql/sql_metadata_page.ts';
import { cursorPast } from './sql/sql_metadata_past.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { sharing } from './sql/sql_metadata_sharing.ts';
import { nodeLookups } from './sql/sql_metadata_tree.ts';
import { loadView, viewForWriting, type WriterView } from './sql/sql_metadata_view.ts';
import { type Touched, tellingTouched } from './touched.ts';

export const MIGRATIONS = new URL('./migrations/metadata/', import.meta.url);

async function readEpoch(database: Database<MetadataSchema>): Promise<string> {
  const read = () => database.db.selectFrom('settings').select('value').where('name', '=', 'epoch').executeTakeFirst();
  const known = await read();
  if (known !== undefined) return known.value;
  await database.write(async (trx) => {
    const fresh = { name: 'epoch', value: randomBytes(16).toString('hex') };
    await trx
      .insertInto('settings')
      .values(fresh)
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute();
  });
  return (await read())?.value ?? '';
}

/** What every port on the metadata database is made of. */
export function openStore(opened: Database<MetadataSchema>, { now = Date.now, onTouched = () => undefined }: MetadataOptions = {}): Store {
  const { database, touchedBy } = tellingTouched(opened, onTouched);
  const { dialect } = database;
  const ids = leaseIds(database);
  const packs = openPacks(database, ids);
  return {
    database,
    touchedBy,
    ids,
    packs,
    chunks: openChunks(database, packs),
    lookups: nodeLookups(dialect),
    ledger: ledgerStatements(dialect),
    manifests: bulkQuery<ManifestRow>(
      dialect,
      { space: 'int8', version: 'int8' },
      'SELECT j.space, j.seq AS version, j.manifest FROM v CROSS JOIN journal j WHERE j.space = v.space AND j.seq = v.version AND j.manifest IS NOT NULL',
    ),
    now,
  };
}

/** Durable, though no file refers to them yet. */
async function recordChunks(store: Store, principal: Principal, chunks: readonly StoredChunk[]): Promise<void> {
  await store.packs.register(new Set(chunks.map((chunk) => chunk.location.pack)));
  await store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks, paths: [] });
    await batch.finish();
  });
}

/** Of a user who has stored nothing yet, who now has a place to store it in. */
async function withHome(store: Store, principal: Principal): Promise<WriterView> {
  await store.ids.reserve(SPARE_IDS);
  return store.database.write((trx) => viewForWriting(trx, principal, { ids: store.ids, nowMs: store.now() }));
}

export type MetadataOptions = {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Told of each transaction that changed something, see `tellingTouched`. */
  readonly onTouched?: (touched: Touched) => void;
};

/**
 * The metadata port on SQLite or PostgreSQL.
 * @throws AppError as `openDatabase`
 */
export async function openSqlMetadata(address: DatabaseAddress, options: MetadataOptions = {}): Promise<Metadata> {
  return sqlMetadata(openStore(await openDatabase<MetadataSchema>(address, MIGRATIONS), options));
}

/** The same on a store that other ports may use too; closing the port closes its database. */
export async function sqlMetadata(store: Store): Promise<Metadata> {
  const { database } = store;
  const epoch = await readEpoch(database);
  const lists = listStatements(database.dialect);
  const { db } = database;
  const reading = async (principal: Principal): Promise<Reading> => ({ store, lists, db, view: await loadView(db, principal.userId) });
  return {
    epoch,
    recordChunks: (principal, chunks) => recordChunks(store, principal, chunks),
    commit: (principal, stream, chunks, operations) => commit(store, { principal, stream, chunks, operations }),
    async have(principal, digests) {
      const found = await store.chunks.locate(db, await loadView(db, principal.userId), digests);
      return found.map((location) => location !== null);
    },
    locate: async (principal, digests) => store.chunks.locate(db, await loadView(db, principal.userId), digests),
    stat: async (principal, paths) => stat(store, db, await loadView(db, principal.userId), paths),
    manifests: async (principal, paths) => manifests(store, db, await loadView(db, principal.userId), paths),
    olderChunks: async (principal, path, version) => olderChunks(store, db, await loadView(db, principal.userId), { path, version }),
    async *readFolders(principal, paths) {
      yield* readFolders(await reading(principal), paths);
    },
    async *walkFolders(principal, path) {
      for await (const folders of walk(await reading(principal), path)) yield folders.map((folder) => folder.path);
    },
    async *feed(principal, query) {
      const view = await loadView(db, principal.userId);
      yield* feed({ store, lists, db, view: view.home === null ? await withHome(store, principal) : view, epoch }, query);
    },
    cursorPast: async (principal, cursor, stream) =>
      cursorPast({ db, view: await loadView(db, principal.userId), epoch }, { cursor, stream }),
    page: async (principal, query) => page(await reading(principal), query),
    changes: async (principal, query) => changes({ db, view: await loadView(db, principal.userId), epoch }, query),
    ...sharing(store),
    // Through the writer, because one that failed must not be sent more work.
    async ping() {
      await database.write((trx) => sql`SELECT 1`.execute(trx));
    },
    close: () => database.close(),
  };
}
