import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { type DatabaseAddress, openDatabase } from './database.ts';
import type { Principal } from './metadata.ts';
import { EVERYBODY, type LimitRow, NO_LIMIT, rulesOf } from './sql/sql_metadata_allowance.ts';
import type { Store } from './sql/sql_metadata_batch.ts';
import { openBatch } from './sql/sql_metadata_commit.ts';
import { KIND, type MetadataSchema, type Rows } from './sql/sql_metadata_schema.ts';
import { usageOf } from './sql/sql_metadata_usage.ts';
import { MIGRATIONS, openStore } from './sql_metadata.ts';

/** Bytes by what they are. Only what is live counts against the quota. */
export type Usage = {
  readonly quotaBytes: number | null; // null: no limit
  readonly liveBytes: number; // files in the user's home and in the shared folders that the user owns
  readonly versionsBytes: number; // contents of files there that were replaced and are kept; each counts, also where several are the same
  readonly trashBytes: number; // what was deleted there
  readonly sharedBytes: number; // files in folders that others share with the user; theirs, and counted with them
};

/** What an administrator set, for one user or for everybody; null: not set. Extensions are without their dot, in lower case. */
export type Limits = {
  readonly quotaBytes: number | null | 'none';
  readonly fileBytes: number | null | 'none';
  /** Extensions and kinds (Models/file_kinds.ts) of which a file must be. */
  readonly allowed: readonly string[] | null;
  /** Those of which it must not be. */
  readonly refused: readonly string[] | null;
};

/**
 * How much users may store, and what. Whatever a user's own limits do not say is as for everybody (`null`). Limits are looked at in the
 * transaction of each change: `quota_exceeded`, `too_large`, `type_refused`. What is there already stays, whatever is set.
 */
export type Quotas = {
  usage(principal: Principal): Promise<Usage>;
  /** @param userId null: of everybody */
  limits(userId: string | null): Promise<Limits>;
  /** Replaces those that are given. Durable when the promise resolves. */
  setLimits(userId: string | null, limits: Partial<Limits>): Promise<Limits>;
  /** The same for a user of whom nothing was ever set; what was set stays. */
  setFirstLimits(userId: string, limits: Partial<Limits>): Promise<void>;
};

/** Rows of a journal that one statement looks at. */
const ROWS = 10_000;

/** For a program beside the server. @throws AppError as `openDatabase` */
export async function openQuotas(address: DatabaseAddress): Promise<Quotas & { close(): Promise<void> }> {
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  return { ...sqlQuotas(openStore(database)), close: () => database.close() };
}

export function sqlQuotas(store: Store): Quotas {
  const { db, write } = store.database;
  return {
    usage: (principal) => usage(store, principal),
    limits: async (userId) => limitsOf(await rowOf(db, userId)),
    setLimits: (userId, limits) =>
      write(async (trx) => {
        const row: LimitRow = { ...(await rowOf(trx, userId)), ...columnsOf(limits) };
        await trx
          .insertInto('limits')
          .values(row)
          .onConflict((conflict) => conflict.column('user_id').doUpdateSet(columnsOf(limits)))
          .execute();
        return limitsOf(row);
      }),
    setFirstLimits: (userId, limits) =>
      write(async (trx) => {
        const row: LimitRow = { ...NOTHING_SET, user_id: userId, ...columnsOf(limits) };
        await trx
          .insertInto('limits')
          .values(row)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),
  };
}

const NOTHING_SET = { quota: null, file_size: null, allowed: null, refused: null };

async function rowOf(db: Rows, userId: string | null): Promise<LimitRow> {
  const user_id = userId ?? EVERYBODY;
  const row = await db.selectFrom('limits').selectAll().where('user_id', '=', user_id).executeTakeFirst();
  return row ?? { ...NOTHING_SET, user_id };
}

function limitsOf({ quota, file_size, allowed, refused }: LimitRow): Limits {
  const bytes = (value: number | null): Limits['quotaBytes'] => (value === NO_LIMIT ? 'none' : value);
  const list = (text: string | null): string[] | null => (text === null ? null : (JSON.parse(text) as string[]));
  return { quotaBytes: bytes(quota), fileBytes: bytes(file_size), allowed: list(allowed), refused: list(refused) };
}

function columnsOf({ quotaBytes, fileBytes, allowed, refused }: Partial<Limits>): Partial<LimitRow> {
  const bytes = (value: Limits['quotaBytes']): number | null => (value === 'none' ? NO_LIMIT : value);
  const list = (value: readonly string[] | null): string | null => (value === null ? null : JSON.stringify(value));
  return {
    ...(quotaBytes === undefined ? {} : { quota: bytes(quotaBytes) }),
    ...(fileBytes === undefined ? {} : { file_size: bytes(fileBytes) }),
    ...(allowed === undefined ? {} : { allowed: list(allowed) }),
    ...(refused === undefined ? {} : { refused: list(refused) }),
  };
}

async function usage(store: Store, principal: Principal): Promise<Usage> {
  const { db, write } = store.database;
  await store.ids.reserve(64);
  const { own, liveBytes, sharedBytes } = await write(async (trx) => {
    const { view } = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [] });
    const counted = { own: [] as { id: number; live: number }[], liveBytes: 0, sharedBytes: 0 };
    for (const { id, ownerId } of view.spaces) {
      const live = await usageOf(trx, id);
      if (ownerId === principal.userId) {
        counted.own.push({ id, live });
        counted.liveBytes += live;
      } else counted.sharedBytes += live;
    }
    return counted;
  });
  const past = { versionsBytes: 0, trashBytes: 0 };
  for (const { id, live } of own) {
    const { replaced, held } = await pastOf(db, id);
    past.versionsBytes += replaced;
    past.trashBytes += Math.max(0, held - live);
  }
  const rules = await rulesOf(db, [principal.userId]);
  return { quotaBytes: rules(principal.userId).quotaBytes, liveBytes, ...past, sharedBytes };
}

/** Of a space: the bytes of contents that were replaced and not given up, and of the last ones of its files, dead or alive. */
async function pastOf(db: Rows, space: number): Promise<{ replaced: number; held: number }> {
  const sum = { replaced: 0, held: 0 };
  const { head } = await db.selectFrom('spaces').select('head').where('id', '=', space).executeTakeFirstOrThrow();
  for (let after = 0; after < head; after += ROWS) {
    const { rows } = await sql<{ replaced: number; held: number }>`SELECT
        coalesce(sum(CASE WHEN p.digest <> j.digest AND p.thinned_at_ms IS NULL THEN p.size ELSE 0 END), 0) AS replaced,
        coalesce(sum(CASE WHEN j.seq = n.version AND n.space = j.space THEN n.size ELSE 0 END), 0) AS held
      FROM journal j CROSS JOIN nodes n LEFT JOIN journal p ON p.space = j.space AND p.seq = j.prev AND p.node = j.node
      WHERE j.space = ${space} AND j.seq > ${after} AND j.seq <= ${after + ROWS} AND n.id = j.node AND n.kind = ${KIND.file}`.execute(db);
    sum.replaced += rows[0]?.replaced ?? 0;
    sum.held += rows[0]?.held ?? 0;
    await setImmediate(); // embedded, a statement gives the event loop no turn
  }
  return sum;
}
