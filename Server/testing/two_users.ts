import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Operation } from '../../Models/operations.ts';
import type { Change, Metadata, Principal } from '../../Storage/metadata.ts';

/** Two users at the metadata, for tests that need no account of them. */
export const alice: Principal = { userId: 'a'.repeat(32), userName: 'alice', deviceId: '1'.repeat(32) };
export const bob: Principal = { userId: 'b'.repeat(32), userName: 'bob', deviceId: '2'.repeat(32) };

export const mkdir = (path: string): Operation => ({ kind: 'mkdir', path, existingOk: false, mode: null, mtimeUs: null });

export async function done(store: Metadata, who: Principal, operations: readonly Operation[]): Promise<void> {
  const results = await store.commit(who, { id: randomBytes(16), firstOperation: 0, resumed: false }, [], operations);
  for (const { status } of results) assert.equal(status, 'done');
}

/** The whole change feed, in pages. */
export async function allChanges(store: Metadata, who: Principal): Promise<Change[]> {
  const changes: Change[] = [];
  for (let after: string | null = null, more = true; more; ) {
    const page = await store.changes(who, { after, limit: 100 });
    changes.push(...page.changes);
    after = page.cursor;
    more = page.more;
  }
  return changes;
}

/** Shares alice's folder with bob, who accepts. */
export async function share(store: Metadata, path: string): Promise<void> {
  const { id } = await store.invite(alice, { path, userId: bob.userId, userName: bob.userName, role: 'editor', message: null });
  await store.accept(bob, id);
}
