import { addressGroup, plainAddress } from '../Models/addresses.ts';
import { LIMITS } from '../Models/limits.ts';
import { visible } from '../Models/visible.ts';
import type { AuditEntry, AuditEvent } from './audit.ts';

type Told = Omit<AuditEntry, 'number' | 'process' | 'firstAtMs' | 'lastAtMs' | 'count'>;
/** A row that is being filled. `number` is `null` until it has been written once. */
export type AuditRow = Told & { readonly firstAtMs: number; number: number | null; lastAtMs: number; count: number };

const MINUTE_MS = 60_000;

/**
 * Which row an event belongs to: within a minute the like of it share one, and the more there are the less alike they must be. So each source has few rows
 * in a minute, and all together have few; a flood of refusals from everywhere ends in a handful of rows that count. What succeeded is counted by user and
 * apart from refusals, so that no flood hides it.
 */
export function createAuditRows(now: () => number): { rowFor(event: AuditEvent): AuditRow } {
  let minute = -1;
  let rows = new Map<string, AuditRow>();
  let spent = new Map<string, number>(); // rows begun in this minute, by whose budget they are of

  function mayBegin(budgets: readonly (readonly [name: string, most: number])[]): boolean {
    if (budgets.some(([name, most]) => (spent.get(name) ?? 0) >= most)) return false;
    for (const [name] of budgets) spent.set(name, (spent.get(name) ?? 0) + 1);
    return true;
  }

  function rowOf(told: Told, atMs: number, budgets: Parameters<typeof mayBegin>[0]): AuditRow | null {
    const key = JSON.stringify(Object.values({ ...told, address: told.address === null ? null : addressGroup(told.address) }));
    const known = rows.get(key);
    if (known !== undefined) return known;
    if (!mayBegin(budgets)) return null;
    const row = { ...told, number: null, firstAtMs: atMs, lastAtMs: atMs, count: 0 };
    rows.set(key, row);
    return row;
  }

  return {
    rowFor(event) {
      const atMs = now();
      if (Math.floor(atMs / MINUTE_MS) !== minute) {
        minute = Math.floor(atMs / MINUTE_MS);
        rows = new Map();
        spent = new Map();
      }
      const told = toldOf(event);
      const { what, result, address, userId, userName } = told;
      const kind = { ...NOTHING, what, result };
      const outcome = result === 'ok' ? 'ok' : 'refused';
      const whose = result === 'ok' && userId !== null ? { ...kind, userId, userName } : { ...kind, address };
      const source = `${outcome} ${whose.userId ?? (address === null ? '' : addressGroup(address))}`;
      const { each, [outcome]: all } = LIMITS.auditRowsPerMinute;
      const row =
        rowOf(told, atMs, [
          [source, each],
          [outcome, all],
        ]) ??
        rowOf(whose, atMs, [[`${outcome} by source`, all]]) ??
        rowOf(kind, atMs, []);
      if (row === null) throw new Error('the last row has no budget');
      row.count += 1;
      row.lastAtMs = Math.max(row.lastAtMs, atMs);
      return row;
    },
  };
}

const NOTHING = { userId: null, userName: null, deviceId: null, by: null, address: null, detail: null };

function toldOf({ what, result, userId, userName, deviceId, by, address, detail }: AuditEvent): Told {
  const plain = address === null || address === undefined ? null : plainAddress(address);
  const texts = { userName: shown(userName), by: shown(by), address: shown(plain), detail: shown(detail) };
  return { what, result, userId: shown(userId), deviceId: shown(deviceId), ...texts };
}

/** Not even a reader that does not know better must be given what moves a cursor; and PostgreSQL stores no NUL. */
function shown(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : visible(text.slice(0, LIMITS.auditDetailCharsMax));
}
