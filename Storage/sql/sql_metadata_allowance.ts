import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { fileKindOf } from '../../Models/file_kinds.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import type { Principal } from '../metadata.ts';
import type { Dialect } from '../migrate.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';
import { bytesBelow, usageOf } from './sql_metadata_usage.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** Of all users. */
export const EVERYBODY = '';
export const NO_LIMIT = -1;
/** Shares of a quota, in percent, of which its user is warned. */
const WARNINGS = [95, 80] as const;

/** What limits one user, their own row and that of everybody taken together. */
export type Rules = {
  readonly quotaBytes: number | null; // null: no limit
  readonly fileBytes: number | null;
  /** Extensions and kinds; null: all. A file must be of each list. */
  readonly allowed: readonly (readonly string[])[];
  readonly refused: readonly string[];
};

export type LimitRow = MetadataSchema['limits'];

export async function rulesOf(db: Rows, userIds: readonly string[]): Promise<(userId: string) => Rules> {
  const rows = await db
    .selectFrom('limits')
    .selectAll()
    .where('user_id', 'in', [EVERYBODY, ...userIds])
    .execute();
  const everybody = rows.find((row) => row.user_id === EVERYBODY);
  return (userId) =>
    together(
      rows.find((row) => row.user_id === userId),
      everybody,
    );
}

function together(own: LimitRow | undefined, everybody: LimitRow | undefined): Rules {
  const limit = (name: 'quota' | 'file_size'): number | null => {
    const value = own?.[name] ?? everybody?.[name] ?? NO_LIMIT;
    return value === NO_LIMIT ? null : value;
  };
  const lists = (name: 'allowed' | 'refused'): string[][] =>
    [own, everybody].flatMap((row) => {
      const text = row?.[name];
      return text == null ? [] : [JSON.parse(text) as string[]];
    });
  const allowed = lists('allowed').filter((list) => list.length > 0);
  return { quotaBytes: limit('quota'), fileBytes: limit('file_size'), allowed, refused: lists('refused').flat() };
}

/** @throws AppError `type_refused` */
function checkName({ allowed, refused }: Rules, name: string): void {
  if (allowed.length === 0 && refused.length === 0) return;
  const words = new Set<string>([fileKindOf(name), name.slice(name.lastIndexOf('.') + 1).toLowerCase()]);
  const isListed = (list: readonly string[]): boolean => list.some((word) => words.has(word));
  if (isListed(refused) || !allowed.every(isListed)) throw new AppError('type_refused', `files like "${name}" are not taken here`);
}

type Growth = { readonly name: string; readonly size: number /* bytes it will have */; readonly growth: number /* bytes more than now */ };

/** What one transaction may still add: the rules of whoever acts, and the quota of whoever owns the space. */
export type Allowance = {
  /** Reads what limits writing into a space; to be awaited before `take`. The space is locked. */
  load(space: SpaceView): Promise<void>;
  /** @throws AppError `quota_exceeded`, `too_large`, `type_refused`; then nothing was taken */
  take(space: SpaceView, file: Growth): void;
  /** A file of so many bytes goes. */
  release(space: SpaceView, bytes: number): void;
  /** The same for a copy of all that is below a node. */
  takeTree(space: SpaceView, node: number): Promise<void>;
  /** A file gets another name. @throws AppError `type_refused` */
  checkName(name: string): void;
  /**
   * When everything is flushed: whatever was done, no quota is crossed by it.
   * @returns whoever is to be warned, and of how much
   * @throws AppError `quota_exceeded`
   */
  settle(written: readonly SpaceView[]): Promise<readonly Warning[]>;
};
export type Warning = {
  readonly userId: string;
  readonly userName: string;
  readonly percent: number;
  readonly used: number;
  readonly quota: number;
};

type Account = { readonly ownerId: string; readonly ownerName: string; readonly quota: number; readonly usedBefore: number; left: number };

export function openAllowance(trx: Rows, dialect: Dialect, principal: Principal): Allowance {
  const accounts = new Map<string, Account | null>(); // by owner; null: no quota
  let own: Rules | null = null;

  async function load({ ownerId, ownerName }: SpaceView): Promise<void> {
    if (own !== null && accounts.has(ownerId)) return;
    const rules = await rulesOf(trx, [principal.userId, ownerId]);
    own ??= rules(principal.userId);
    const { quotaBytes: quota } = rules(ownerId);
    if (quota === null) {
      accounts.set(ownerId, null);
      return;
    }
    await lockAccount(trx, dialect, ownerId);
    const stored = await storedUsage(trx, ownerId);
    const used = await usedBy(trx, ownerId);
    accounts.set(ownerId, { ownerId, ownerName, quota, usedBefore: stored ?? used, left: quota - used });
  }

  function grow({ ownerId }: SpaceView, growth: number): void {
    const account = accounts.get(ownerId);
    if (account == null) return;
    if (growth > 0 && growth > account.left) throw exceeded(principal, account, growth);
    account.left -= growth;
  }

  const rules = (): Rules => {
    if (own === null) throw new Error('what is allowed was not read');
    return own;
  };
  return {
    load,
    take(space, { name, size, growth }) {
      checkName(rules(), name);
      const { fileBytes } = rules();
      if (fileBytes !== null && size > fileBytes) {
        throw new AppError('too_large', `a file may have ${formatBytes(fileBytes)} here, this one has ${formatBytes(size)}`);
      }
      grow(space, growth);
    },
    release: (space, bytes) => grow(space, -bytes),
    async takeTree(space, node) {
      await load(space);
      if (accounts.get(space.ownerId) != null) grow(space, await bytesBelow(trx, node));
    },
    checkName: (name) => checkName(rules(), name),
    async settle(written) {
      const warnings: Warning[] = [];
      for (const space of written) await load(space);
      for (const account of accounts.values()) {
        if (account === null || !written.some(({ ownerId }) => ownerId === account.ownerId)) continue;
        const used = await usedBy(trx, account.ownerId);
        if (used > account.quota && used > account.usedBefore)
          throw exceeded(principal, { ...account, left: account.quota - account.usedBefore }, used - account.usedBefore);
        const percent = await newWarning(trx, account, used);
        if (percent !== null) warnings.push({ userId: account.ownerId, userName: account.ownerName, percent, used, quota: account.quota });
      }
      return warnings;
    },
  };
}

/** How much a user stores and may store is told to them alone; who writes into their folder only hears that there is no room. */
function exceeded({ userId }: Principal, { ownerId, ownerName, quota, left }: Account, needed: number): AppError {
  if (userId !== ownerId) return new AppError('quota_exceeded', `needs ${formatBytes(needed)}, and ${ownerName} has no room for that`);
  const room = `${formatBytes(Math.max(0, left))} left of the ${formatBytes(quota)} of ${ownerName}`;
  return new AppError('quota_exceeded', `needs ${formatBytes(needed)}, ${room}`);
}

function ownedSpaces(trx: Rows, ownerId: string) {
  return trx.selectFrom('spaces').where('owner_id', '=', ownerId).where('deleted_at_ms', 'is', null);
}

/** What was last counted; `null` where something never was. */
async function storedUsage(trx: Rows, ownerId: string): Promise<number | null> {
  const rows = await ownedSpaces(trx, ownerId).leftJoin('space_usage as u', 'u.space', 'spaces.id').select('u.bytes').execute();
  return rows.some(({ bytes }) => bytes === null) ? null : rows.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}

/**
 * Whoever writes where this user pays waits here until the others have committed, so that two who write at once see each other. It is taken
 * behind the locks of spaces, which stay as they are: what others write into the user's other spaces meanwhile waits here too.
 */
async function lockAccount(trx: Rows, dialect: Dialect, ownerId: string): Promise<void> {
  if (dialect === 'postgres') await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`quota ${ownerId}`}, 0))`.execute(trx);
}

/** All that the user owns. */
async function usedBy(trx: Rows, ownerId: string): Promise<number> {
  let used = 0;
  for (const { id } of await ownedSpaces(trx, ownerId).select('spaces.id').orderBy('spaces.id').execute()) used += await usageOf(trx, id);
  return used;
}

/** Remembers how much of the quota is used, in steps. @returns the step, if it is a higher one than before */
async function newWarning(trx: Rows, { ownerId, quota }: Account, used: number): Promise<number | null> {
  const percent = WARNINGS.find((share) => used * 100 >= quota * share) ?? 0;
  const last = await trx.selectFrom('quota_warnings').select('percent').where('user_id', '=', ownerId).executeTakeFirst();
  if (percent === (last?.percent ?? 0)) return null;
  await trx
    .insertInto('quota_warnings')
    .values({ user_id: ownerId, percent })
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet({ percent }))
    .execute();
  return percent > (last?.percent ?? 0) ? percent : null;
}
