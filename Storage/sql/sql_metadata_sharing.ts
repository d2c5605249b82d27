import { AppError } from '../../Models/errors.ts';
import { splitPath } from '../../Models/names.ts';
import type { Role } from '../../Models/operations.ts';
import type { Principal } from '../metadata.ts';
import type { Member, Sharing } from '../sharing.ts';
import type { Batch, Store } from './sql_metadata_batch.ts';
import { writeAt } from './sql_metadata_commit.ts';
import { accept, decline, invitations, invite, openInvitations, revoke } from './sql_metadata_invitations.ts';
import { resolve } from './sql_metadata_list.ts';
import { endMembership, inheritedRoles, membersOf, settle } from './sql_metadata_members.ts';
import { OWNER, ROLES } from './sql_metadata_schema.ts';
import type { Place } from './sql_metadata_tree.ts';
import { loadView, type SpaceView } from './sql_metadata_view.ts';

const roleOf = (role: number): Role => ROLES[role] as Role;

/** The shared space whose top is at the place. @throws AppError `not_found` */
function sharedAt(place: Place): SpaceView {
  const space = place.top?.space;
  if (space === undefined || space.isHome) throw new AppError('not_found', `no shared folder at ${place.path}`);
  return space;
}

async function leave(store: Store, principal: Principal, path: string): Promise<void> {
  await writeAt(store, principal, { path }, async (batch, place) => {
    const space = sharedAt(place);
    const { userId, userName } = principal;
    if (space.ownerId === userId) throw new AppError('forbidden', 'the first owner cannot leave a shared folder, only delete it');
    if (place.parent?.space.isHome) return endMembership(batch, { place, base: 'any', onlyEmpty: false }, null);
    await batch.ledger.lock([space.id]);
    const member = (await membersOf(batch.trx, space.id)).find(({ user_id }) => user_id === userId);
    if (member?.granted == null) throw new AppError('forbidden', 'it comes with the shared folder that it is in: leave that one');
    return settle(batch, space.id, { grant: { userId, userName, role: null } });
  });
}

/** Changes what somebody has in the shared folder at a path, as an owner may. */
async function changeMember<Result>(
  store: Store,
  principal: Principal,
  { path, userId }: { path: string; userId: string },
  body: (batch: Batch, space: SpaceView) => Promise<Result>,
): Promise<Result> {
  return writeAt(store, principal, { path }, async (batch, place) => {
    const space = sharedAt(place);
    if (space.role < OWNER) throw new AppError('forbidden', 'only an owner does this');
    if (space.ownerId === userId) throw new AppError('forbidden', 'the first owner stays the owner');
    await batch.ledger.lock([space.id]);
    return body(batch, space);
  });
}

function notThere(): AppError {
  return new AppError('user_unknown', 'this user is neither a member nor invited');
}

type MemberRequest = { path: string; userId: string };

function setRole(store: Store, principal: Principal, request: MemberRequest & { role: Role }): Promise<Member> {
  return changeMember(store, principal, request, async (batch, { id: space }) => {
    const { userId } = request;
    const role = ROLES.indexOf(request.role);
    const row = (await membersOf(batch.trx, space)).find(({ user_id }) => user_id === userId);
    if (row === undefined) return setInvitedRole(batch, space, { userId, role });
    const inherited = (await inheritedRoles(batch.trx, space)).get(userId) ?? null;
    if (inherited !== null && role < inherited) {
      throw new AppError('forbidden', `the shared folder that it is in makes this user ${roleOf(inherited)}`);
    }
    await revoke(batch, space, userId); // of a member of the outer folder: what is given here takes its place
    await settle(batch, space, { grant: { userId, userName: row.user_name, role } });
    return { user: row.user_name, role: request.role, state: 'member', inherited: false };
  });
}

async function setInvitedRole(batch: Batch, space: number, { userId, role }: { userId: string; role: number }): Promise<Member> {
  const open = (await openInvitations(batch.trx, space, batch.nowMs)).find(({ to_id }) => to_id === userId);
  if (open === undefined) throw notThere();
  await batch.trx.updateTable('invitations').set({ role }).where('id', '=', open.id).execute();
  const touched = batch.store.touchedBy(batch.trx);
  touched.spaces.add(space);
  touched.users.add(userId);
  return { user: open.to_name, role: roleOf(role), state: 'invited', inherited: false };
}

function uninvite(store: Store, principal: Principal, request: MemberRequest): Promise<void> {
  return changeMember(store, principal, request, async (batch, { id: space }) => {
    const { userId } = request;
    const row = (await membersOf(batch.trx, space)).find(({ user_id }) => user_id === userId);
    const revoked = await revoke(batch, space, userId);
    if (row === undefined && !revoked) throw notThere();
    if (row === undefined) return;
    if (row.granted !== null) await settle(batch, space, { grant: { userId, userName: row.user_name, role: null } });
    else if (!revoked) throw new AppError('forbidden', 'this user is a member of the shared folder that it is in');
  });
}

async function members(store: Store, principal: Principal, path: string): Promise<Member[]> {
  const { db } = store.database;
  splitPath(path); // anchored paths are for operations
  const view = await loadView(db, principal.userId);
  const [found] = view.home === null ? [] : await resolve(store, db, view, [path]);
  if (found?.node == null || found.place === null) throw new AppError('not_found', `nothing at ${path}`);
  const space = (found.place.top ?? found.place.parent)?.space;
  if (space === undefined) throw new AppError('not_found', `nothing at ${path}`);
  const rows = await membersOf(db, space.id);
  const invited = await openInvitations(db, space.id, store.now());
  // What was read may be newer than the view: who is not a member any more is told nothing.
  if (!rows.some(({ user_id }) => user_id === principal.userId)) throw new AppError('not_found', `nothing at ${path}`);
  return [
    ...rows
      .toSorted((a, b) => Buffer.compare(Buffer.from(a.user_name), Buffer.from(b.user_name)))
      .map(
        ({ user_name, role, granted }): Member => ({
          user: user_name,
          role: roleOf(role),
          state: 'member',
          inherited: (granted ?? -1) < role,
        }),
      ),
    ...invited.map(({ to_name, role }): Member => ({ user: to_name, role: roleOf(role), state: 'invited', inherited: false })),
  ];
}

export function sharing(store: Store): Sharing {
  return {
    invite: (principal, request) => invite(store, principal, request),
    invitations: (principal) => invitations(store, principal),
    accept: (principal, id, at) => accept(store, principal, id, at),
    decline: (principal, id) => decline(store, principal, id),
    leave: (principal, path) => leave(store, principal, path),
    members: (principal, path) => members(store, principal, path),
    setRole: (principal, request) => setRole(store, principal, request),
    uninvite: (principal, request) => uninvite(store, principal, request),
  };
}
