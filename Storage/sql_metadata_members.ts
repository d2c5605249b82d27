import { sql } from 'kysely';
import { AppError } from '../Models/errors.ts';
import type { Base, OperationResult } from '../Models/operations.ts';
import { type Batch, done, pathInSpace } from './sql_metadata_batch.ts';
import { checkBaseOf, checkEmpty } from './sql_metadata_put.ts';
import { KIND, NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';
import type { Place } from './sql_metadata_tree.ts';
import { loadView, type SpaceView } from './sql_metadata_view.ts';

/** The living mount of a space in a home. */
async function mountIn(trx: Rows, home: number, space: number): Promise<Node | undefined> {
  const { rows } = await sql<Node>`SELECT ${sql.raw(NODE_COLUMNS)} FROM nodes n
    WHERE n.space = ${home} AND n.mount = ${space} AND n.deleted_seq IS NULL`.execute(trx);
  return rows[0];
}

type Removal = {
  readonly home: number;
  readonly space: SpaceView;
  readonly path: string;
  readonly kind: 'leave' | 'delete';
  readonly op: number | null;
};

/** Takes a mount away, in whosever home it is. For readers the change is about the folder they saw there: the space's root. */
async function removeMount(batch: Batch, { home, space, path, kind, op }: Removal): Promise<Node> {
  const mount = await mountIn(batch.trx, home, space.id);
  if (mount === undefined) throw new AppError('not_found', `nothing at ${path}`);
  const shown: Node = { ...mount, id: space.root, kind: KIND.folder };
  shown.version = batch.ledger.record(home, { kind, node: shown, path, op });
  batch.ledger.remove(mount, shown.version);
  return shown;
}

/** Takes back what is still open. @param from only what this user made */
async function revokeInvitations({ trx, store }: Batch, space: number, from?: string): Promise<void> {
  const pending = trx.updateTable('invitations').set({ state: 'revoked' }).where('space', '=', space).where('state', '=', 'pending');
  const revoked = await (from === undefined ? pending : pending.where('from_id', '=', from)).returning('to_id').execute();
  for (const { to_id } of revoked) store.touchedBy(trx).users.add(to_id);
}

async function leaveSpace(batch: Batch, space: SpaceView, path: string, op: number | null): Promise<Node> {
  const { userId } = batch.principal;
  await batch.trx.deleteFrom('members').where('space', '=', space.id).where('user_id', '=', userId).execute();
  await revokeInvitations(batch, space.id, userId);
  batch.store.touchedBy(batch.trx).spaces.add(space.id);
  return removeMount(batch, { home: batch.view.home.id, space, path, kind: 'leave', op });
}

/**
 * The owner deletes a shared space: nobody can reach it any more, but nothing in it is touched, and the owner stays noted as
 * its member, so that it can be brought back as it was.
 */
async function deleteSpace(batch: Batch, space: SpaceView, path: string, op: number | null): Promise<Node> {
  const { trx, ledger, principal, view } = batch;
  const others = await trx
    .selectFrom('members')
    .select('user_id')
    .where('space', '=', space.id)
    .where('user_id', '!=', principal.userId)
    .execute();
  const theirs = await Promise.all(others.map(({ user_id }) => loadView(trx, user_id)));
  const homes = theirs.flatMap((other) => (other.home === null ? [] : [other.home.id]));
  await ledger.lock([space.id, ...homes]);
  await batch.provideIds(homes.length);
  for (const other of theirs) {
    const mounted = other.byId.get(space.id);
    if (other.home === null || mounted === undefined) continue;
    await removeMount(batch, { home: other.home.id, space, path: mounted.path, kind: 'leave', op: null });
  }
  await trx.deleteFrom('members').where('space', '=', space.id).where('user_id', '!=', principal.userId).execute();
  await revokeInvitations(batch, space.id);
  await trx.updateTable('spaces').set({ deleted_at_ms: batch.nowMs }).where('id', '=', space.id).execute();
  return removeMount(batch, { home: view.home.id, space, path, kind: 'delete', op });
}

type Ending = { readonly place: Place; readonly base: Base; readonly onlyEmpty: boolean };

/** Deleting a mount: a member leaves, the owner deletes the shared space. */
export async function endMembership(batch: Batch, { place, base, onlyEmpty }: Ending, op: number | null): Promise<OperationResult> {
  const space = place.top?.space;
  if (space === undefined || space.isHome) throw new AppError('path_invalid', 'the root folder cannot be deleted');
  await batch.ledger.flush();
  const mount = await mountIn(batch.trx, batch.view.home.id, space.id);
  if (mount !== undefined) checkBaseOf(batch, base, mount);
  if (onlyEmpty) checkEmpty(batch, batch.tree.root(space));
  const path = pathInSpace(place);
  const end = space.ownerId === batch.principal.userId ? deleteSpace : leaveSpace;
  return done(await end(batch, space, path, op));
}
