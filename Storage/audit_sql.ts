import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { AuditProcess } from '../Models/audit.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Audit, AuditEntry, AuditQuery } from './audit.ts';
import { type AuditRow, createAuditRows } from './audit_rows.ts';
import { type Database, type DatabaseAddress, openDatabase } from './database.ts';

type AuditTable = {
  number: number;
  process: AuditProcess;
  what: string;
  result: string;
  user_id: string | null;
  user_name: string | null;
  device_id: string | null;
  done_by: string | null;
  address: string | null;
  detail: string | null;
  first_at_ms: number;
  last_at_ms: number;
  count: number;
  refused: number;
};
type Schema = { audit: AuditTable; audit_counter: { one: number; value: number } };

const MIGRATIONS = new URL('./migrations/audit/', import.meta.url);
/** Another process holds the database for milliseconds; were it stopped there, this one would not stand still with it. */
const BUSY_TIMEOUT_MS = 100;
const PRUNE_EACH_ROWS = 1000;

export type AuditOptions = {
  readonly process: AuditProcess;
  readonly now?: () => number;
  /** Called each time it cannot be written: at most once in `LIMITS.auditRetryMs`. */
  readonly onFailure?: (error: unknown) => void;
};

/**
 * The record on either database. A database that fails is opened anew until it answers; meanwhile so many rows are kept, and of more it is
 * known how many there were.
 * @throws AppError as `openDatabase`
 */
export async function openAudit(given: DatabaseAddress, options: AuditOptions): Promise<Audit> {
  const { now = Date.now, onFailure = () => undefined } = options;
  const address = given.kind === 'sqlite' ? { ...given, busyTimeoutMs: BUSY_TIMEOUT_MS } : given;
  const { rowFor } = createAuditRows(now);
  const closing = new AbortController();
  let database: Database<Schema> | null = await openDatabase<Schema>(address, MIGRATIONS);
  let unwritten = new Set<AuditRow>();
  let lost = 0; // events that had no row left to be counted in
  let hasPruned = false; // a process that starts looks once
  let begunSince = 0; // rows begun since it looked last
  let lastWrite: Promise<boolean> = Promise.resolve(true);
  let writingSoon = false;

  async function opened(): Promise<Database<Schema>> {
    database ??= await openDatabase<Schema>(address, MIGRATIONS);
    return database;
  }

  /** One after another, so that no row is begun twice. @returns false if it could not be written, and is kept */
  function writeAll(): Promise<boolean> {
    lastWrite = lastWrite.then(writeOnce);
    return lastWrite;
  }

  async function writeOnce(): Promise<boolean> {
    const lostBefore = lost;
    const rows = [...unwritten, ...(lost === 0 ? [] : [lostRow(lost, now())])];
    const isLast = closing.signal.aborted;
    if (rows.length === 0 && !(isLast && begunSince > 0)) return true;
    unwritten = new Set();
    const begun = begunSince + rows.filter(({ number }) => number === null).length;
    const prunes = !hasPruned || isLast || begun >= PRUNE_EACH_ROWS;
    try {
      const { write } = await opened();
      const states = rows.map((row) => ({ ...row }));
      const numbers = await write(async (trx) => {
        const given = await writeRows(trx, states, options.process);
        if (prunes) await prune(trx, { atMs: now(), most: begun });
        return given;
      });
      for (const [index, row] of rows.entries()) row.number = numbers[index] ?? null;
      hasPruned ||= prunes;
      begunSince = prunes ? 0 : begun;
      lost -= lostBefore;
      return true;
    } catch (error) {
      unwritten = new Set([...(lostBefore === 0 ? rows : rows.slice(0, -1)), ...unwritten]);
      const failed = database;
      database = null;
      await failed?.close().catch(() => undefined);
      onFailure(error);
      return false;
    }
  }

  async function writeSoon(): Promise<void> {
    writingSoon = true;
    let waitMs: number = LIMITS.auditGatherMs;
    while (unwritten.size > 0 && !closing.signal.aborted) {
      await sleep(waitMs, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
      waitMs = (await writeAll()) ? LIMITS.auditGatherMs : LIMITS.auditRetryMs;
    }
    writingSoon = false;
  }

  return {
    record(event) {
      const row = rowFor(event);
      if (unwritten.size >= LIMITS.auditUnwrittenMax && !unwritten.has(row)) lost += 1;
      else unwritten.add(row);
      if (!writingSoon) void writeSoon();
    },
    async page(query) {
      return readPage((await opened()).db, query);
    },
    flush: writeAll,
    async close() {
      closing.abort();
      await writeAll();
      await database?.close();
    },
  };
}

function lostRow(count: number, atMs: number): AuditRow {
  const nobody = { userId: null, userName: null, deviceId: null, by: null, address: null, detail: null };
  return { what: 'audit_lost', result: 'busy', ...nobody, number: null, firstAtMs: atMs, lastAtMs: atMs, count };
}

/** Rows that were written before get their new count. @returns the number of each */
async function writeRows(trx: Transaction<Schema>, rows: readonly AuditRow[], process: AuditProcess): Promise<number[]> {
  const begun = rows.filter(({ number }) => number === null).length;
  const counter = trx
    .updateTable('audit_counter')
    .set({ value: sql`value + ${begun}` })
    .where('one', '=', 1)
    .returning('value');
  let next = (await counter.executeTakeFirstOrThrow()).value - begun;
  const numbers: number[] = [];
  for (const { number, what, result, userId, userName, deviceId, by, address, detail, firstAtMs, lastAtMs, count } of rows) {
    if (number !== null) {
      await trx.updateTable('audit').set({ count, last_at_ms: lastAtMs }).where('number', '=', number).execute();
      numbers.push(number);
      continue;
    }
    next += 1;
    const who = { user_id: userId, user_name: userName, device_id: deviceId, done_by: by, address, detail };
    const times = { first_at_ms: firstAtMs, last_at_ms: lastAtMs, count, refused: result === 'ok' ? 0 : 1 };
    await trx
      .insertInto('audit')
      .values({ number: next, process, what, result, ...who, ...times })
      .execute();
    numbers.push(next);
  }
  return numbers;
}

/**
 * Refusals have a share of their own, so that a flood of them never drives out what was done. What is too old goes by the order of the rows, and
 * no clock that is wrong takes much along: it must have been the time of LIMITS.auditTimeRows things that were done.
 * @param most rows that go because of the time: as many as came
 */
async function prune(trx: Transaction<Schema>, { atMs, most }: { atMs: number; most: number }): Promise<void> {
  const done = trx.selectFrom('audit').select('last_at_ms').where('refused', '=', 0).orderBy('number', 'desc');
  const settled = await done
    .offset(LIMITS.auditTimeRows - 1)
    .limit(1)
    .executeTakeFirst();
  if (settled !== undefined) {
    const tooOld = Math.min(atMs, settled.last_at_ms) - LIMITS.auditKeptMs;
    const old = trx.selectFrom('audit').select('number').where('last_at_ms', '<', tooOld).orderBy('number').limit(most);
    await trx
      .deleteFrom('audit')
      .where('number', 'in', (e) => e.selectFrom(old.as('old')).select('number'))
      .execute();
  }
  for (const [refused, kept] of [LIMITS.auditDoneRowsMax, LIMITS.auditRefusedRowsMax].entries()) {
    const last = trx.selectFrom('audit').select('number').where('refused', '=', refused).orderBy('number', 'desc').offset(kept).limit(1);
    await trx
      .deleteFrom('audit')
      .where('refused', '=', refused)
      .where('number', '<=', (e) => e.selectFrom(last.as('last')).select('number'))
      .execute();
  }
}

async function readPage(db: Kysely<Schema>, query: AuditQuery): ReturnType<Audit['page']> {
  const { since, user, what, after, from, limit } = query;
  const wanted = Math.min(limit, LIMITS.auditPageMax);
  let rows = db
    .selectFrom('audit')
    .selectAll()
    .orderBy('number', 'desc')
    .limit(wanted + 1);
  if (since !== undefined) rows = rows.where('last_at_ms', '>=', since);
  if (what !== undefined) rows = rows.where('what', '=', what);
  if (after !== undefined) rows = rows.where('number', '<', after);
  if (from !== undefined) rows = rows.where('number', '>=', from);
  if (user !== undefined) {
    // A refusal knows the id alone; a name is told with what succeeded, and the account may be gone by now.
    const idsOf = db.selectFrom('audit').select('user_id').where('user_name', '=', user);
    rows = rows.where((e) =>
      e.or([e('user_id', '=', user), e('user_name', '=', user), e('done_by', '=', user), e('user_id', 'in', idsOf)]),
    );
  }
  const found = await rows.execute();
  const entries = found.slice(0, wanted).map(entryOf);
  return { entries, next: found.length > wanted ? (entries.at(-1)?.number ?? null) : null };
}

function entryOf(row: AuditTable): AuditEntry {
  const { user_id: userId, user_name: userName, device_id: deviceId, done_by: by, first_at_ms: firstAtMs, last_at_ms: lastAtMs } = row;
  const { number, process, what, result, address, detail, count } = row;
  return { number, process, what, result, userId, userName, deviceId, by, address, detail, firstAtMs, lastAtMs, count };
}
