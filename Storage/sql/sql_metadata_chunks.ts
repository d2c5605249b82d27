import { type BulkInsert, bulkInsert, bulkQuery, type SqlValue } from '../bulk.ts';
import type { ChunkLocation } from '../chunk_store.ts';
import type { Database } from '../database.ts';
import type { StoredChunk } from '../metadata.ts';
import type { Ids } from './sql_metadata_ids.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';
import type { View } from './sql_metadata_view.ts';

/** Where a chunk lies, with the pack as its number in `packs`. */
export type ChunkPlace = { readonly pack: number; readonly start: number; readonly length: number };
type ChunkRow = ChunkPlace & { digest: Buffer; space: number };

/** A digest as a key of a Map. */
export function digestKey(digest: Uint8Array): string {
  return asBuffer(digest).toString('latin1');
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export type Packs = {
  /** Gives each pack its number, in a transaction of its own the first time it is seen. */
  register(names: Iterable<string>): Promise<void>;
  /** @param name a registered pack */
  number(name: string): number;
  /** Names by number, for those asked. */
  names(db: Rows, numbers: Iterable<number>): Promise<ReadonlyMap<number, string>>;
};

/** Packs are few (64 MiB each) and never change, so what was seen is remembered. */
export function openPacks(database: Database<MetadataSchema>, ids: Ids): Packs {
  const numbers = new Map<string, number>();
  const names = new Map<number, string>();
  const byNumber = bulkQuery<{ id: number; name: string }>(
    database.dialect,
    { id: 'int8' },
    'SELECT p.id, p.name FROM v CROSS JOIN packs p WHERE p.id = v.id',
  );
  function remember(row: { id: number; name: string }): void {
    numbers.set(row.name, row.id);
    names.set(row.id, row.name);
  }
  return {
    async register(wanted) {
      const missing = [...new Set(wanted)].filter((name) => !numbers.has(name));
      if (missing.length === 0) return;
      await ids.reserve(missing.length);
      const rows = await database.write(async (trx) => {
        const fresh = await ids.take(trx, missing.length);
        const values = missing.map((name, i) => ({ id: fresh[i] as number, name }));
        await trx
          .insertInto('packs')
          .values(values)
          .onConflict((conflict) => conflict.column('name').doNothing())
          .execute();
        return trx.selectFrom('packs').selectAll().where('name', 'in', missing).execute();
      });
      rows.forEach(remember);
    },
    number(name) {
      const number = numbers.get(name);
      if (number === undefined) throw new Error(`pack ${name} is not registered`);
      return number;
    },
    async names(db, wanted) {
      const missing = [...new Set(wanted)].filter((number) => !names.has(number));
      if (missing.length > 0)
        (
          await byNumber(
            db,
            missing.map((number) => [number]),
          )
        ).forEach(remember);
      return names;
    },
  };
}

/** Up to so many spaces of a user a chunk is looked for in each. */
const FEW_SPACES = 4;

export type Chunks = {
  readonly insert: BulkInsert;
  /** Of the digests, those that stand in a space of the view, by digestKey. */
  readable(db: Rows, view: View, digests: readonly Uint8Array[]): Promise<Map<string, ReadableChunk>>;
  locate(db: Rows, view: View, digests: readonly Buffer[]): Promise<(ChunkLocation | null)[]>;
};
export type ReadableChunk = { readonly place: ChunkPlace; readonly spaces: number[] };

export function chunkValues(digest: Uint8Array, space: number, place: ChunkPlace): SqlValue[] {
  return [asBuffer(digest), space, place.pack, place.start, place.length];
}

export function placeOf(packs: Packs, chunk: StoredChunk): ChunkPlace {
  return { pack: packs.number(chunk.location.pack), start: chunk.location.offset, length: chunk.location.length };
}

export function openChunks(database: Database<MetadataSchema>, packs: Packs): Chunks {
  const columns = 'c.digest, c.space, c.pack, c.start, c.length';
  const inSpace = bulkQuery<ChunkRow>(
    database.dialect,
    { digest: 'blob', space: 'int8' },
    `SELECT ${columns} FROM v CROSS JOIN chunks c WHERE c.digest = v.digest AND c.space = v.space`,
  );
  const ofMember = bulkQuery<ChunkRow>(
    database.dialect,
    { digest: 'blob', user_id: 'text' },
    `SELECT ${columns} FROM v CROSS JOIN chunks c JOIN members m ON m.space = c.space AND m.user_id = v.user_id WHERE c.digest = v.digest`,
  );
  /** Only what this user may see is read: a chunk that many store must not cost more than one that few do. */
  function find(db: Rows, { spaces, userId }: View, digests: readonly Uint8Array[]): Promise<ChunkRow[]> {
    if (spaces.length > FEW_SPACES)
      return ofMember(
        db,
        digests.map((digest) => [asBuffer(digest), userId]),
      );
    return inSpace(
      db,
      digests.flatMap((digest) => spaces.map((space) => [asBuffer(digest), space.id])),
    );
  }
  async function readable(db: Rows, view: View, digests: readonly Uint8Array[]): Promise<Map<string, ReadableChunk>> {
    const found = new Map<string, ReadableChunk>();
    if (view.home === null) return found;
    for (const row of await find(db, view, digests)) {
      if (!view.byId.has(row.space)) continue; // it stands in a stranger's space: for the caller it does not exist
      const key = digestKey(row.digest);
      const known = found.get(key);
      if (known === undefined) found.set(key, { place: row, spaces: [row.space] });
      else known.spaces.push(row.space);
    }
    return found;
  }
  return {
    insert: bulkInsert(database.dialect, 'chunks', ['digest', 'space', 'pack', 'start', 'length'], 'ON CONFLICT DO NOTHING'),
    readable,
    async locate(db, view, digests) {
      const found = await readable(db, view, digests);
      const names = await packs.names(
        db,
        [...found.values()].map(({ place }) => place.pack),
      );
      return digests.map((digest) => {
        const place = found.get(digestKey(digest))?.place;
        const pack = place && names.get(place.pack);
        return place === undefined || pack === undefined ? null : { pack, offset: place.start, length: place.length };
      });
    },
  };
}
