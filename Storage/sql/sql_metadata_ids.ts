import type { Database } from '../database.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';

const BLOCK = 8192;

/** Numbers that are unique in the whole database: of nodes, spaces, commits and packs. */
export type Ids = {
  /** Makes sure, in a transaction of its own, that `count` ids can be taken without touching the counter. */
  reserve(count: number): Promise<void>;
  /** For inside a transaction. Only when more is asked for than was reserved does it wait for the counter's row. */
  take(trx: Rows, count: number): Promise<number[]>;
};

async function advance(trx: Rows, count: number): Promise<number> {
  const { next } = await trx
    .updateTable('counters')
    .set((e) => ({ next: e('next', '+', count) }))
    .where('name', '=', 'id')
    .returning('next')
    .executeTakeFirstOrThrow();
  return next - count;
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Leases ids in blocks, so that servers which commit at the same time do not wait for each other. What a crash leaves unused is never used. */
export function leaseIds(database: Pick<Database<MetadataSchema>, 'write'>): Ids {
  let next = 0;
  let end = 0;
  return {
    async reserve(count) {
      if (end - next >= count) return;
      const size = Math.max(BLOCK, count);
      const first = await database.write((trx) => advance(trx, size));
      next = first;
      end = first + size;
    },
    async take(trx, count) {
      if (end - next < count) return range(await advance(trx, count), count);
      next += count;
      return range(next - count, count);
    },
  };
}
