import { randomBytes } from 'node:crypto';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Database } from '../database.ts';
import { pageMark, readPageMark } from '../publication_marks.ts';
import type { Publications } from '../publications.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';

/** How many rows are kept: of one reader, so that nobody's flood drives out what others did, and of one owner. */
export type FetchesKept = {
  readonly perReader: number;
  readonly perOwner: number;
  readonly spare: number /* more than that, at the most */;
};
const KEPT: FetchesKept = { perReader: LIMITS.fetchesPerReaderMax, perOwner: LIMITS.fetchesPerOwnerMax, spare: 100 };
const COUNTED_MAX = 10_000;

/** Who fetched what: a row is durable before the first byte is given on. */
export function sqlFetches(
  database: Database<MetadataSchema>,
  now: () => number,
  kept: FetchesKept = KEPT,
): Pick<Publications, 'noteFetch' | 'fetches'> {
  const { db } = database;
  const oldestMs = (): number => now() - LIMITS.fetchesKeptMs;
  const pruning = pruningEvery(kept.spare);
  return {
    async noteFetch(who, { publication, path, size, digest }, { start, length }) {
      const id = randomBytes(16).toString('hex');
      const { userId: owner } = publication;
      const row = {
        ...{ id, owner_id: owner, name: `${publication.name}/${path}`, size, digest },
        ...{ user_id: who.userId, user_name: who.userName, device: who.deviceId, start, length, sent: null, at_ms: now() },
      };
      const pair = pruning.noted(`${owner} ${who.userId}`);
      const all = pruning.noted(owner);
      await database.write(async (trx) => {
        await trx.insertInto('fetches').values(row).execute();
        if (pair.isDue || all.isDue) await trx.deleteFrom('fetches').where('at_ms', '<', oldestMs()).execute();
        if (pair.isDue) await keepNewest(trx, { owner_id: owner, user_id: who.userId }, kept.perReader);
        if (all.isDue) await keepNewest(trx, { owner_id: owner }, kept.perOwner);
      });
      for (const counted of [pair, all]) if (counted.isDue) counted.done();
      return async (sent) => {
        await database.write((trx) => trx.updateTable('fetches').set({ sent }).where('id', '=', id).execute());
      };
    },
    async fetches({ userId }, { after, limit }) {
      let query = db.selectFrom('fetches').selectAll().where('owner_id', '=', userId).where('at_ms', '>=', oldestMs());
      if (after !== null) {
        const [atMs, id] = readMark(after);
        query = query.where((e) => e(e.refTuple('at_ms', 'id'), '<', e.tuple(atMs, id)));
      }
      const rows = await query
        .orderBy('at_ms', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute();
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      return {
        fetches: rows
          .slice(0, limit)
          .map(({ owner_id: _, user_id: __, user_name: user, at_ms, ...row }) => ({ ...row, user, atMs: at_ms })),
        next: last === undefined ? null : pageMark([String(last.at_ms), last.id]),
      };
    },
  };
}

/** Counts rows under each key, since nobody's turn may come only with the rows of others. A key that is new here, or was forgotten, is due at once. */
function pruningEvery(rows: number): { noted(key: string): { readonly isDue: boolean; done(): void } } {
  const since = new Map<string, number>();
  return {
    noted(key) {
      const count = (since.get(key) ?? rows) + 1;
      since.delete(key); // the keys not used for longest come first
      since.set(key, count);
      if (since.size > COUNTED_MAX) for (const oldest of since.keys().take(1)) since.delete(oldest);
      return { isDue: count >= rows, done: () => void (since.has(key) && since.set(key, 0)) };
    },
  };
}

async function keepNewest(trx: Rows, of: Partial<Pick<MetadataSchema['fetches'], 'owner_id' | 'user_id'>>, most: number): Promise<void> {
  const rows = trx
    .selectFrom('fetches')
    .select(['at_ms', 'id'])
    .where((e) => e.and(of))
    .orderBy('at_ms', 'desc')
    .orderBy('id', 'desc');
  const last = await rows.offset(most).limit(1).executeTakeFirst();
  if (last === undefined) return;
  const old = trx.deleteFrom('fetches').where((e) => e.and(of));
  await old.where((e) => e(e.refTuple('at_ms', 'id'), '<=', e.tuple(last.at_ms, last.id))).execute();
}

function readMark(after: string): [number, string] {
  const [at = '', id = ''] = readPageMark(after, 2);
  if (!/^\d{1,15}$/.test(at)) throw new AppError('cursor_invalid', 'this is no mark of a page');
  return [Number(at), id];
}
