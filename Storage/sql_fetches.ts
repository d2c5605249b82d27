import { randomBytes } from 'node:crypto';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Database } from './database.ts';
import { pageMark, readPageMark } from './publication_marks.ts';
import type { Publications } from './publications.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

/** Who fetched what: a row is durable before the first byte is given on. */
export function sqlFetches(database: Database<MetadataSchema>, now: () => number): Pick<Publications, 'noteFetch' | 'fetches'> {
  const { db } = database;
  return {
    async noteFetch(who, { publication, path, size, digest }, { start, length }) {
      const id = randomBytes(16).toString('hex');
      const atMs = now();
      const row = {
        ...{ id, owner_id: publication.userId, name: `${publication.name}/${path}`, size, digest },
        ...{ user_id: who.userId, user_name: who.userName, device: who.deviceId, start, length, sent: null, at_ms: atMs },
      };
      await database.write(async (trx) => {
        await trx.insertInto('fetches').values(row).execute();
        const old = trx.deleteFrom('fetches').where('owner_id', '=', publication.userId);
        await old.where('at_ms', '<', atMs - LIMITS.fetchesKeptMs).execute();
      });
      return async (sent) => {
        await database.write((trx) => trx.updateTable('fetches').set({ sent }).where('id', '=', id).execute());
      };
    },
    async fetches({ userId }, { after, limit }) {
      let query = db.selectFrom('fetches').selectAll().where('owner_id', '=', userId);
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

function readMark(after: string): [number, string] {
  const [at = '', id = ''] = readPageMark(after, 2);
  if (!/^\d{1,15}$/.test(at)) throw new AppError('cursor_invalid', 'this is no mark of a page');
  return [Number(at), id];
}
