import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { Batch } from './sql_metadata_batch.ts';
import { prepareNotices, recordNotice, type User } from './sql_metadata_notice.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';

export type InvitationConditions = ExpressionBuilder<MetadataSchema, 'invitations'>;

/** Neither answered nor expired. */
export function isOpen(nowMs: number) {
  return (e: InvitationConditions) =>
    e.and([e('state', '=', 'pending'), e.or([e('expires_at_ms', 'is', null), e('expires_at_ms', '>', nowMs)])]);
}

type Concerned = Pick<MetadataSchema['invitations'], 'from_id' | 'from_name' | 'to_id' | 'to_name'>;

/** Who made invitations, and who got them. */
export const concernedBy = (rows: readonly Concerned[]): User[] =>
  rows.flatMap(({ from_id, from_name, to_id, to_name }) => [
    { userId: from_id, userName: from_name },
    { userId: to_id, userName: to_name },
  ]);

export function concernedByOpen(trx: Rows, which: (e: InvitationConditions) => Expression<SqlBool>, nowMs: number): Promise<Concerned[]> {
  const open = trx.selectFrom('invitations').where(which).where(isOpen(nowMs));
  return open.select(['from_id', 'from_name', 'to_id', 'to_name']).execute();
}

/** Ends those that are open, for good; who made one and who got it are told, on all their devices. @returns how many there were */
export async function endInvitations(
  batch: Batch,
  which: (e: InvitationConditions) => Expression<SqlBool>,
  state: 'accepted' | 'declined' | 'revoked',
): Promise<number> {
  const { trx, store, nowMs } = batch;
  const open = trx.updateTable('invitations').set({ state, answered_at_ms: nowMs }).where(which).where(isOpen(nowMs));
  const ended = await open.returning(['id', 'space', 'folder_name', 'from_id', 'from_name', 'to_id', 'to_name']).execute();
  const touched = store.touchedBy(trx);
  await prepareNotices(batch, concernedBy(ended));
  for (const row of ended) {
    const { id, space, folder_name: folder, from_name: from, to_name: to } = row;
    touched.spaces.add(space);
    for (const user of concernedBy([row])) {
      touched.users.add(user.userId);
      await recordNotice(batch, user, { kind: 'answered', details: { id, folder, from, to, state } });
    }
  }
  return ended.length;
}
