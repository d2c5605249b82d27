import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { Batch } from './sql_metadata_batch.ts';
import { recordNotice } from './sql_metadata_notice.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

export type InvitationConditions = ExpressionBuilder<MetadataSchema, 'invitations'>;

/** Neither answered nor expired. */
export function isOpen(nowMs: number) {
  return (e: InvitationConditions) =>
    e.and([e('state', '=', 'pending'), e.or([e('expires_at_ms', 'is', null), e('expires_at_ms', '>', nowMs)])]);
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
  await batch.provideIds(2 * ended.length);
  for (const { id, space, folder_name: folder, from_id, from_name: from, to_id, to_name: to } of ended) {
    touched.spaces.add(space);
    for (const user of [
      { userId: from_id, userName: from },
      { userId: to_id, userName: to },
    ]) {
      touched.users.add(user.userId);
      await recordNotice(batch, user, { kind: 'answered', details: { id, folder, from, to, state } });
    }
  }
  return ended.length;
}
