import { randomBytes } from 'node:crypto';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Role } from '../../Models/operations.ts';
import type { Principal } from '../metadata.ts';
import type { Invitation, InviteRequest } from '../sharing.ts';
import { concernedBy, endInvitations, type InvitationConditions, isOpen } from './sql_metadata_answers.ts';
import type { Batch, Store } from './sql_metadata_batch.ts';
import { openBatch, SHARING_IDS, SPARE_IDS, writeAt } from './sql_metadata_commit.ts';
import { membersOf, type Spot, settle } from './sql_metadata_members.ts';
import { recordNotice } from './sql_metadata_notice.ts';
import { type MetadataSchema, OWNER, ROLES, type Rows } from './sql_metadata_schema.ts';
import { makeSpace, shareable } from './sql_metadata_space.ts';
import { openPathBook, type Place } from './sql_metadata_tree.ts';
import { loadView } from './sql_metadata_view.ts';

type InvitationRow = MetadataSchema['invitations'];

function invitationOf(row: InvitationRow, nowMs: number): Invitation {
  const expired = row.state === 'pending' && row.expires_at_ms !== null && row.expires_at_ms <= nowMs;
  return {
    id: row.id,
    folderName: row.folder_name,
    from: row.from_name,
    to: row.to_name,
    role: ROLES[row.role] as Role,
    state: expired ? 'expired' : row.state,
    message: row.message,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    answeredAtMs: row.answered_at_ms,
  };
}

export function openInvitations(db: Rows, space: number, nowMs: number): Promise<InvitationRow[]> {
  return db.selectFrom('invitations').selectAll().where('space', '=', space).where(isOpen(nowMs)).orderBy('to_name').execute();
}

/** @throws AppError `invitation_invalid` */
async function answer(batch: Batch, id: string, state: 'accepted' | 'declined' | 'revoked'): Promise<void> {
  const ended = await endInvitations(batch, (e) => e('id', '=', id), state);
  if (ended === 0) throw new AppError('invitation_invalid', 'the invitation is not open any more');
}

function checkInvite(principal: Principal, request: InviteRequest): void {
  if (request.userId === principal.userId) throw new AppError('invitation_invalid', 'you cannot invite yourself');
  if (request.message !== null && Buffer.byteLength(request.message) > LIMITS.invitationMessageBytesMax) {
    throw new AppError('too_large', 'the message is too long');
  }
  if (request.message?.includes('\0')) throw new AppError('request_invalid', 'the message holds a NUL character');
}

async function checkInvitee({ trx, nowMs }: Batch, space: number, userId: string): Promise<void> {
  const members = await membersOf(trx, space);
  if (members.some(({ user_id }) => user_id === userId)) throw new AppError('invitation_invalid', 'this user is a member already');
  const open = await openInvitations(trx, space, nowMs);
  if (open.some(({ to_id }) => to_id === userId)) throw new AppError('invitation_invalid', 'this user is invited already');
  if (members.length + open.length >= LIMITS.membersPerSpaceMax) {
    throw new AppError('too_large', `a shared folder has at most ${LIMITS.membersPerSpaceMax} members`);
  }
}

/** The shared space whose top is at the place, made now if there is none. @throws AppError `forbidden` and as `shareable` */
async function spaceToShare(batch: Batch, place: Place): Promise<number> {
  const shared = place.top?.space;
  if (shared === undefined || shared.isHome) return makeSpace(batch, place, shareable(batch, place));
  if (shared.role < OWNER) throw new AppError('forbidden', 'only an owner invites');
  return shared.id;
}

export async function invite(store: Store, principal: Principal, request: InviteRequest): Promise<Invitation> {
  checkInvite(principal, request);
  return writeAt(store, principal, { path: request.path, told: [request] }, async (batch, place) => {
    const space = await spaceToShare(batch, place);
    await batch.ledger.lock([space]);
    await checkInvitee(batch, space, request.userId);
    const row: InvitationRow = {
      id: randomBytes(16).toString('hex'),
      space,
      from_id: principal.userId,
      from_name: principal.userName,
      to_id: request.userId,
      to_name: request.userName,
      folder_name: place.name,
      role: ROLES.indexOf(request.role),
      state: 'pending',
      message: request.message,
      created_at_ms: batch.nowMs,
      expires_at_ms: batch.nowMs + (request.lifetimeMs ?? LIMITS.invitationLifetimeMs),
      answered_at_ms: null,
    };
    await batch.trx.insertInto('invitations').values(row).execute();
    const { id, folder_name: folder, from_name: from, message } = row;
    await recordNotice(batch, request, { kind: 'invited', details: { id, folder, from, role: request.role, message } });
    const touched = store.touchedBy(batch.trx);
    touched.spaces.add(space);
    touched.users.add(row.to_id);
    return invitationOf(row, batch.nowMs);
  });
}

/** The place in the caller's home that an accepted folder is to have. @throws AppError */
async function spotAt(batch: Batch, path: string): Promise<Spot> {
  const place = openPathBook(batch.view).place(path);
  if (place.parent === null || place.top !== null) throw new AppError('already_exists', `${path} exists`);
  await batch.tree.load([place]);
  const folder = batch.tree.folder(place.parent, 'make');
  if (folder === null) throw new AppError('not_found', 'the folder to put it in does not exist');
  if (!place.parent.space.isHome) throw new AppError('forbidden', 'only its first owner puts a shared folder into another one');
  const existing = batch.tree.child(folder, place.key);
  if (existing !== null && existing.name !== place.name) {
    throw new AppError('name_collides', `"${place.name}" exists here under the name "${existing.name}"`);
  }
  if (existing !== null) throw new AppError('already_exists', `${path} exists`);
  return { folder: folder.id, name: place.name, path };
}

const NO_INVITATION = 'no such invitation';

export async function accept(store: Store, principal: Principal, id: string, at: string | undefined): Promise<{ path: string }> {
  await store.ids.reserve(SHARING_IDS);
  return store.database.write(async (trx) => {
    const { userId, userName } = principal;
    const own = trx.selectFrom('invitations').selectAll().where('id', '=', id).where('to_id', '=', userId);
    const found = await own.executeTakeFirst();
    if (found === undefined) throw new AppError('not_found', NO_INVITATION);
    const scope = { principal, stream: null, chunks: [], paths: at === undefined ? [] : [at] };
    const batch = await openBatch(store, trx, { ...scope, told: concernedBy([found]) });
    await batch.ledger.lock([found.space]);
    const space = await trx.selectFrom('spaces').select('deleted_at_ms').where('id', '=', found.space).executeTakeFirstOrThrow();
    if (space.deleted_at_ms !== null) throw new AppError('invitation_invalid', 'the invitation is not open any more');
    await answer(batch, id, 'accepted');
    const { role } = await own.executeTakeFirstOrThrow(); // as it is under the lock
    const member = (await membersOf(trx, found.space)).find(({ user_id }) => user_id === userId);
    if (member !== undefined && (member.granted !== null || at !== undefined)) {
      throw new AppError(
        'invitation_invalid',
        member.granted === null ? 'you have this folder inside another one' : 'you are a member already',
      );
    }
    const spot = at === undefined ? null : await spotAt(batch, at);
    await settle(batch, found.space, { grant: { userId, userName, role, spot }, name: found.folder_name });
    await batch.finish();
    const path = (await loadView(trx, userId)).byId.get(found.space)?.path;
    if (path === undefined) throw new Error('a folder was accepted and is not there');
    return { path };
  });
}

/** Who may take an invitation back: the user who made it and the owners of the folder, to whom all of them are shown. */
function sentBy(userId: string) {
  return (e: InvitationConditions) => {
    const owned = e.selectFrom('members').select('space').where('user_id', '=', userId).where('role', '=', OWNER);
    return e.or([e('from_id', '=', userId), e('space', 'in', owned)]);
  };
}

export async function decline(store: Store, principal: Principal, id: string): Promise<void> {
  const { userId } = principal;
  await store.ids.reserve(SPARE_IDS * 4);
  await store.database.write(async (trx) => {
    const row = await trx
      .selectFrom('invitations')
      .select(['from_id', 'from_name', 'to_id', 'to_name'])
      .where('id', '=', id)
      .where((e) => e.or([e('to_id', '=', userId), sentBy(userId)(e)]))
      .executeTakeFirst();
    if (row === undefined) throw new AppError('not_found', NO_INVITATION);
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [], told: concernedBy([row]) });
    await answer(batch, id, row.to_id === userId ? 'declined' : 'revoked');
    await batch.finish();
  });
}

/** Takes back what is open for a user. @returns false if nothing is */
export async function revoke(batch: Batch, space: number, userId: string): Promise<boolean> {
  return (await endInvitations(batch, (e) => e.and([e('space', '=', space), e('to_id', '=', userId)]), 'revoked')) > 0;
}

export async function invitations(store: Store, { userId }: Principal): Promise<{ received: Invitation[]; sent: Invitation[] }> {
  const nowMs = store.now();
  const since = nowMs - LIMITS.invitationShownMs;
  const shown = store.database.db
    .selectFrom('invitations')
    .selectAll()
    .where((e) =>
      e.or([
        e('answered_at_ms', '>', since),
        e.and([e('state', '=', 'pending'), e.or([e('expires_at_ms', 'is', null), e('expires_at_ms', '>', since)])]),
      ]),
    )
    .orderBy('created_at_ms', 'desc')
    .orderBy('id', 'desc')
    .limit(LIMITS.pageEntriesMax);
  const received = await shown.where('to_id', '=', userId).execute();
  const sent = await shown.where(sentBy(userId)).execute();
  const newestLast = (rows: readonly InvitationRow[]) => rows.map((row) => invitationOf(row, nowMs)).reverse();
  return { received: newestLast(received), sent: newestLast(sent) };
}
