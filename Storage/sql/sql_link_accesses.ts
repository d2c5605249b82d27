import { sql } from 'kysely';
import { LIMITS } from '../../Models/limits.ts';
import type { Database } from '../database.ts';
import type { Access, Links, LoggedAccess } from '../links.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';

type AccessLog = Pick<Links, 'begin' | 'end' | 'undo'> & { newest(linkId: string): Promise<LoggedAccess[]> };

/** Who used links, and how many uses are left. Whoever writes of a link holds the lock of its row, so that uses are taken one after another. */
export function accessLog(database: Database<MetadataSchema>, now: () => number): AccessLog {
  return {
    begin: (linkId, access) => database.write((trx) => begin(database, trx, { linkId, access, nowMs: now() })),
    async end(linkId, seq, bytes) {
      await database.write(async (trx) => {
        const set = sql`UPDATE link_accesses SET bytes = bytes + ${bytes}, last_at_ms = ${now()} WHERE link = ${linkId} AND seq = ${seq}`;
        await set.execute(trx);
      });
    },
    async undo(linkId, seq) {
      await database.write(async (trx) => {
        await lock(database, trx, linkId);
        const { numDeletedRows } = await trx
          .deleteFrom('link_accesses')
          .where('link', '=', linkId)
          .where('seq', '=', seq)
          .executeTakeFirst();
        if (numDeletedRows > 0n) await sql`UPDATE links SET uses = uses - 1 WHERE id = ${linkId}`.execute(trx);
      });
    },
    async newest(linkId) {
      const rows = await database.db
        .selectFrom('link_accesses')
        .selectAll()
        .where('link', '=', linkId)
        .orderBy('seq', 'desc')
        .limit(LIMITS.linkLogRowsMax)
        .execute();
      return rows.map((row) => ({
        action: row.action,
        address: row.address,
        path: row.path,
        content: row.content,
        firstAtMs: row.first_at_ms,
        lastAtMs: row.last_at_ms,
        requests: row.requests,
        bytes: row.bytes,
      }));
    },
  };
}

async function lock({ dialect }: Database<MetadataSchema>, trx: Rows, linkId: string) {
  const query = trx.selectFrom('links').selectAll().where('id', '=', linkId);
  return (dialect === 'postgres' ? query.forUpdate() : query).executeTakeFirst();
}

type Begun = { readonly linkId: string; readonly access: Access; readonly nowMs: number };

async function begin(database: Database<MetadataSchema>, trx: Rows, { linkId, access, nowMs }: Begun): Promise<number | null> {
  const link = await lock(database, trx, linkId);
  if (link === undefined || link.revoked_at_ms !== null || (link.expires_at_ms !== null && link.expires_at_ms <= nowMs)) return null;
  const { action, address, path, content, joins, counts } = access;
  const joined = joins ? await openAccess(trx, { linkId, access, nowMs }) : undefined;
  if (joined !== undefined) {
    const set = sql`UPDATE link_accesses SET requests = requests + 1, last_at_ms = ${nowMs} WHERE link = ${linkId} AND seq = ${joined}`;
    await set.execute(trx);
    return joined;
  }
  if (counts && link.uses_max !== null && link.uses >= link.uses_max) return null;
  const seq = link.log_head + 1;
  const uses = link.uses + (counts ? 1 : 0);
  await trx.updateTable('links').set({ uses, log_head: seq }).where('id', '=', linkId).execute();
  const row = { link: linkId, seq, action, address, path, content, first_at_ms: nowMs, last_at_ms: nowMs, requests: 1, bytes: 0 };
  await trx.insertInto('link_accesses').values(row).execute();
  await trx
    .deleteFrom('link_accesses')
    .where('link', '=', linkId)
    .where('seq', '<=', seq - LIMITS.linkLogRowsMax)
    .execute();
  return seq;
}

/** The newest access that a request like this may go on with. */
async function openAccess(trx: Rows, { linkId, access, nowMs }: Begun): Promise<number | undefined> {
  const { action, address, path, content } = access;
  const row = await trx
    .selectFrom('link_accesses')
    .select('seq')
    .where('link', '=', linkId)
    .where('action', '=', action)
    .where('address', '=', address)
    .where('path', '=', path)
    .where('content', content === null ? 'is' : '=', content)
    .where('last_at_ms', '>', nowMs - LIMITS.linkUseWindowMs)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.seq;
}
