import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import type { KeepPolicy } from '../history.ts';
import type { Principal } from '../metadata.ts';
import type { HistoryReading } from './sql_history_rows.ts';
import type { Store } from './sql_metadata_batch.ts';
import { EDITOR, JOURNAL_KINDS } from './sql_metadata_schema.ts';
import { lockSpaces } from './sql_metadata_view.ts';

/** Rows of the journal that one transaction looks at. */
const PAGE = 1024;
const DAY_MS = 86_400_000;
/** How far a clock may be ahead of the last commit and be believed. */
const CLOCK_AHEAD_MS = 7 * DAY_MS;
const DELETE = JOURNAL_KINDS.indexOf('delete');

export type Place = { readonly space: number; readonly seq: number };

export async function setPin({ store, view }: HistoryReading, { userName }: Principal, { space, seq }: Place, on: boolean): Promise<void> {
  if ((view.byId.get(space)?.role ?? -1) < EDITOR) throw new AppError('forbidden', 'you may read this shared folder, not change it');
  await store.database.write(async (trx) => {
    await lockSpaces(trx, store.database.dialect, [space]);
    if (!on) {
      await trx.deleteFrom('pins').where('space', '=', space).where('seq', '=', seq).execute();
      return;
    }
    const kept = await trx
      .selectFrom('journal')
      .select('seq')
      .where('space', '=', space)
      .where('seq', '=', seq)
      .where('thinned_at_ms', 'is', null)
      .executeTakeFirst();
    if (kept === undefined) throw new AppError('not_found', 'that version is not kept any more');
    await trx
      .insertInto('pins')
      .values({ space, seq, user_name: userName, at_ms: store.now() })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/** The two ages at which versions become fewer. */
type Pass = { readonly column: 'daily_seq' | 'weekly_seq'; readonly olderMs: number; readonly bucketMs: number };
type DatedPass = Pass & { readonly cutoffMs: number };

/**
 * See History.thin. Goes on where it stopped: each row is looked at twice, once for each pass. A clock that is far ahead would make everything
 * old: it is believed only so far beyond the last commit, so a server on which nothing happens keeps what it has.
 */
export async function thin(store: Store, { allMs, dailyMs }: KeepPolicy): Promise<number> {
  const last = await store.database.db.selectFrom('commits').select('at_ms').orderBy('id', 'desc').limit(1).executeTakeFirst();
  const nowMs = Math.min(store.now(), (last?.at_ms ?? 0) + CLOCK_AHEAD_MS);
  const passes: Pass[] = [
    { column: 'daily_seq', olderMs: allMs, bucketMs: DAY_MS },
    { column: 'weekly_seq', olderMs: dailyMs, bucketMs: 7 * DAY_MS },
  ];
  let thinned = 0;
  for (let after = 0; ; ) {
    const spaces = await store.database.db.selectFrom('spaces').select('id').where('id', '>', after).orderBy('id').limit(PAGE).execute();
    for (const { id } of spaces) {
      for (const pass of passes) thinned += await thinSpace(store, id, { ...pass, cutoffMs: nowMs - pass.olderMs });
      after = id;
    }
    if (spaces.length < PAGE) return thinned;
  }
}

async function thinSpace(store: Store, space: number, pass: DatedPass): Promise<number> {
  let thinned = 0;
  for (;;) {
    const done = await store.database.write((trx) => thinPage(store, trx, { space, pass }));
    thinned += done.thinned;
    if (!done.more) return thinned;
    await setImmediate();
  }
}

type Successor = {
  readonly seq: number;
  readonly kind: number;
  readonly at_ms: number;
  readonly older: number | null; // seq of the row before it, if that has content that is still kept
  readonly older_at_ms: number | null;
};

/** A version goes when another of the same file came behind it on the same day, or in the same week. */
async function thinPage(
  { now, database }: Store,
  trx: Parameters<Parameters<Store['database']['write']>[0]>[0],
  { space, pass }: { space: number; pass: DatedPass },
): Promise<{ thinned: number; more: boolean }> {
  const { column, cutoffMs, bucketMs } = pass;
  await lockSpaces(trx, database.dialect, [space]); // a pin comes before this or after it
  const mark = await trx.selectFrom('thinning').select(column).where('space', '=', space).executeTakeFirst();
  const from: number = mark?.[column] ?? 0;
  const { rows } = await sql<Successor>`
    SELECT j.seq, j.kind, c.at_ms, p.seq AS older, pc.at_ms AS older_at_ms
    FROM journal j JOIN commits c ON c.id = j.commit_id
    LEFT JOIN journal p ON p.space = j.space AND p.seq = j.prev AND p.node = j.node AND p.digest IS NOT NULL AND p.thinned_at_ms IS NULL
    LEFT JOIN commits pc ON pc.id = p.commit_id
    WHERE j.space = ${space} AND j.seq > ${from} ORDER BY j.seq LIMIT ${PAGE}`.execute(trx);
  const young = rows.findIndex((row) => row.at_ms > cutoffMs);
  const old = young === -1 ? rows : rows.slice(0, young);
  const last = old.at(-1);
  if (last === undefined) return { thinned: 0, more: false };
  const gone = old.flatMap(({ kind, at_ms, older, older_at_ms }) => {
    const isReplaced = older !== null && older_at_ms !== null && kind !== DELETE;
    return isReplaced && Math.floor(at_ms / bucketMs) === Math.floor(older_at_ms / bucketMs) ? [older] : [];
  });
  let thinned = 0;
  if (gone.length > 0) {
    const result = await trx
      .updateTable('journal')
      .set({ thinned_at_ms: now() })
      .where('space', '=', space)
      .where('seq', 'in', gone)
      .where((e) =>
        e.not(
          e.exists(
            e.selectFrom('pins').select('pins.seq').whereRef('pins.space', '=', 'journal.space').whereRef('pins.seq', '=', 'journal.seq'),
          ),
        ),
      )
      .executeTakeFirst();
    thinned = Number(result.numUpdatedRows);
  }
  await trx
    .insertInto('thinning')
    .values({ space, daily_seq: 0, weekly_seq: 0, [column]: last.seq })
    .onConflict((conflict) => conflict.column('space').doUpdateSet({ [column]: last.seq }))
    .execute();
  return { thinned, more: young === -1 && rows.length === PAGE };
}
