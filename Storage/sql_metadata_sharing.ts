import { randomBytes } from 'node:crypto';
import type { ExpressionBuilder } from 'kysely';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { childPath, foldName } from '../Models/names.ts';
import type { Role } from '../Models/operations.ts';
import type { Invitation, Member, Metadata, Principal } from './metadata.ts';
import { type Batch, holdsMounts, pathInSpace, type Store } from './sql_metadata_batch.ts';
import { openBatch } from './sql_metadata_commit.ts';
import { carryContent, childPages } from './sql_metadata_copy.ts';
import { endMembership } from './sql_metadata_members.ts';
import { folderNode, KIND, type MetadataSchema, type Node, OWNER, ROLES, type Rows } from './sql_metadata_schema.ts';
import { openPathBook, type Place } from './sql_metadata_tree.ts';
import type { View } from './sql_metadata_view.ts';
import { recordNotice } from './sql_notices.ts';

type InvitationRow = MetadataSchema['invitations'];
export type InviteRequest = { path: string; userId: string; userName: string; role: Role; message: string | null };

function invitationOf(row: InvitationRow): Invitation {
  return {
    id: row.id,
    folderName: row.folder_name,
    from: row.from_name,
    to: row.to_name,
    role: ROLES[row.role] as Role,
    state: row.state,
    message: row.message,
    createdAtMs: row.created_at_ms,
  };
}

/** A transaction on the places the caller names, outside any stream. */
function write<Result>(
  store: Store,
  principal: Principal,
  path: string,
  body: (batch: Batch, place: Place) => Promise<Result>,
): Promise<Result> {
  return store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [path] });
    const place = openPathBook(batch.view).place(path);
    await batch.tree.load([place]);
    const result = await body(batch, place);
    await batch.ledger.finish();
    return result;
  });
}

async function checkInvitee(trx: Rows, space: number, userId: string): Promise<void> {
  const members = await trx.selectFrom('members').select('user_id').where('space', '=', space).execute();
  if (members.some((member) => member.user_id === userId)) throw new AppError('invitation_invalid', 'this user is a member already');
  const pending = await trx.selectFrom('invitations').select('to_id').where('space', '=', space).where('state', '=', 'pending').execute();
  if (pending.some((other) => other.to_id === userId)) throw new AppError('invitation_invalid', 'this user is invited already');
  if (members.length + pending.length >= LIMITS.membersPerSpaceMax) {
    throw new AppError('too_large', `a shared folder has at most ${LIMITS.membersPerSpaceMax} members`);
  }
}

/** The folder at a place, if it may become a space. */
function shareable(batch: Batch, place: Place): Node {
  const node = batch.tree.at(place);
  if (node === null) throw new AppError('not_found', `nothing at ${place.path}`);
  if (node.kind !== KIND.folder) throw new AppError('not_a_folder', `${place.path} is not a folder`);
  const space = place.parent?.space;
  if (space === undefined) throw new AppError('invitation_invalid', 'a whole home cannot be shared, only a folder in it');
  if (!space.isHome) {
    if (space.role < OWNER) throw new AppError('forbidden', 'only an owner invites');
    throw new AppError('invitation_invalid', 'a folder inside a shared folder cannot be shared by itself');
  }
  if (holdsMounts(batch.view, place.path)) throw new AppError('invitation_invalid', 'the folder holds shared folders');
  return node;
}

/**
 * Turns a folder of the home into a space: its nodes keep their ids and go over, each with an `import` row in the new journal, and a mount
 * takes the folder's place. The new journal goes on behind the home's head, so no version number of before can mean something else now.
 */
async function makeSpace(batch: Batch, place: Place, top: Node): Promise<number> {
  const { trx, ledger, principal, view } = batch;
  const space = batch.nextId();
  const mount = folderNode(
    { id: batch.nextId(), space: view.home.id, parent: top.parent, name: top.name, key: top.key },
    { nowMs: batch.nowMs, mount: space },
  );
  mount.version = ledger.record(view.home.id, { kind: 'share', node: top, path: pathInSpace(place) });
  ledger.begin(space, mount.version);
  const owner = { owner_id: principal.userId, owner_name: principal.userName };
  await trx
    .insertInto('spaces')
    .values({ id: space, root: top.id, head: mount.version, ...owner, home_of: null, deleted_at_ms: null })
    .execute();

  const queue: { folder: number; path: string }[] = [];
  async function bring(
    nodes: readonly Node[],
    at: (node: Node) => Pick<Node, 'parent' | 'name' | 'key'> & { path: string },
  ): Promise<void> {
    const manifests = await carryContent(batch, nodes, space);
    for (const node of nodes) {
      const { path, ...own } = at(node);
      const moved: Node = { ...node, ...own, space };
      moved.version = ledger.record(space, { kind: 'import', node: moved, path, manifest: manifests.get(node.id) ?? null });
      ledger.update(moved);
      if (node.kind === KIND.folder) queue.push({ folder: node.id, path });
    }
    await ledger.flush();
  }
  await bring([top], () => ({ path: '/', parent: null, name: '', key: '' }));
  ledger.insert(mount);
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { folder, path } = next;
    for await (const page of childPages(trx, folder)) {
      await bring(page, (node) => ({ path: childPath(path, node.name), parent: folder, name: node.name, key: node.key }));
    }
  }
  const { userId: user_id, userName: user_name } = principal;
  await trx
    .insertInto('members')
    .values({ space, user_id, user_name, role: OWNER, joined_seq: ledger.head(space) })
    .execute();
  return space;
}

function checkInvite(principal: Principal, request: InviteRequest): void {
  if (request.userId === principal.userId) throw new AppError('invitation_invalid', 'you cannot invite yourself');
  if (request.message !== null && Buffer.byteLength(request.message) > LIMITS.invitationMessageBytesMax) {
    throw new AppError('too_large', 'the message is too long');
  }
  if (request.message?.includes('\0')) throw new AppError('request_invalid', 'the message holds a NUL character');
}

async function invite(store: Store, principal: Principal, request: InviteRequest): Promise<Invitation> {
  checkInvite(principal, request);
  return write(store, principal, request.path, async (batch, place) => {
    const shared = place.top?.space;
    if (shared !== undefined && !shared.isHome && shared.role < OWNER) throw new AppError('forbidden', 'only an owner invites');
    const isShared = shared !== undefined && !shared.isHome;
    if (isShared) await checkInvitee(batch.trx, shared.id, request.userId);
    const space = isShared ? shared.id : await makeSpace(batch, place, shareable(batch, place));
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
    };
    await batch.trx.insertInto('invitations').values(row).execute();
    const { id, folder_name: folder, from_name: from, message } = row;
    await recordNotice(batch, request, { kind: 'invited', details: { id, folder, from, role: request.role, message } });
    store.touchedBy(batch.trx).spaces.add(space);
    return invitationOf(row);
  });
}

/** A name that is free in the folder: NAME, NAME (2), NAME (3)… */
async function freeName(store: Store, trx: Rows, folder: number, wanted: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const suffix = n === 1 ? '' : ` (${n})`;
    let base = wanted;
    while (Buffer.byteLength(base + suffix) > LIMITS.nameBytesMax) base = Array.from(base).slice(0, -1).join('');
    const taken = await store.lookups.children(trx, [[folder, foldName(base + suffix)]]);
    if (taken.length === 0) return base + suffix;
  }
}

const NO_INVITATION = 'no such invitation';

async function accept(store: Store, principal: Principal, id: string): Promise<{ path: string }> {
  return store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [] });
    const { ledger, view } = batch;
    const invitation = await trx
      .selectFrom('invitations')
      .selectAll()
      .where('id', '=', id)
      .where('to_id', '=', principal.userId)
      .executeTakeFirst();
    if (invitation === undefined) throw new AppError('not_found', NO_INVITATION);
    await ledger.lock([invitation.space]);
    const space = await trx.selectFrom('spaces').selectAll().where('id', '=', invitation.space).executeTakeFirstOrThrow();
    const { numUpdatedRows } = await trx
      .updateTable('invitations')
      .set({ state: 'accepted' })
      .where('id', '=', id)
      .where('state', '=', 'pending')
      .executeTakeFirst();
    if (numUpdatedRows === 0n || space.deleted_at_ms !== null)
      throw new AppError('invitation_invalid', 'the invitation is not open any more');
    if (view.byId.has(space.id)) throw new AppError('invitation_invalid', 'you are a member already');
    const { userId: user_id, userName: user_name } = principal;
    const joined_seq = ledger.head(space.id);
    await trx.insertInto('members').values({ space: space.id, user_id, user_name, role: invitation.role, joined_seq }).execute();
    const name = await freeName(store, trx, view.home.root, invitation.folder_name);
    const mount = folderNode(
      { id: batch.nextId(), space: view.home.id, parent: view.home.root, name, key: foldName(name) },
      { nowMs: batch.nowMs, mount: space.id },
    );
    const path = `/${name}`;
    mount.version = ledger.record(view.home.id, { kind: 'join', node: { ...mount, id: space.root }, path });
    ledger.insert(mount);
    await ledger.finish();
    store.touchedBy(trx).spaces.add(space.id);
    return { path };
  });
}

/** Who may take an invitation back: the user who made it and the owner of the folder, to whom all of them are shown. */
function sentBy(userId: string) {
  return (e: ExpressionBuilder<MetadataSchema, 'invitations'>) => {
    const spaces = e.selectFrom('members').innerJoin('spaces', 'spaces.id', 'members.space').where('members.user_id', '=', userId);
    const owned = spaces.select('spaces.id').where('owner_id', '=', userId);
    return e.or([e('from_id', '=', userId), e('space', 'in', owned)]);
  };
}

/** By the invited user: declined. By the one who invited or the folder's owner: taken back. */
async function decline(store: Store, { userId }: Principal, id: string): Promise<void> {
  await store.database.write(async (trx) => {
    const row = await trx
      .selectFrom('invitations')
      .select(['to_id', 'space'])
      .where('id', '=', id)
      .where((e) => e.or([e('to_id', '=', userId), sentBy(userId)(e)]))
      .executeTakeFirst();
    if (row === undefined) throw new AppError('not_found', NO_INVITATION);
    const state = row.to_id === userId ? 'declined' : 'revoked';
    const { numUpdatedRows } = await trx
      .updateTable('invitations')
      .set({ state })
      .where('id', '=', id)
      .where('state', '=', 'pending')
      .executeTakeFirst();
    if (numUpdatedRows === 0n) throw new AppError('invitation_invalid', 'the invitation is not open any more');
    const touched = store.touchedBy(trx);
    touched.spaces.add(row.space);
    touched.users.add(row.to_id);
  });
}

async function invitations(db: Rows, { userId }: Principal): Promise<{ received: Invitation[]; sent: Invitation[] }> {
  const pending = db
    .selectFrom('invitations')
    .selectAll()
    .where('state', '=', 'pending')
    .orderBy('created_at_ms')
    .orderBy('id')
    .limit(LIMITS.pageEntriesMax);
  const received = await pending.where('to_id', '=', userId).execute();
  const sent = await pending.where(sentBy(userId)).execute();
  return { received: received.map(invitationOf), sent: sent.map(invitationOf) };
}

async function leave(store: Store, principal: Principal, path: string): Promise<void> {
  await write(store, principal, path, async (batch, place) => {
    const space = place.top?.space;
    if (space === undefined || space.isHome) throw new AppError('not_found', `no shared folder at ${place.path}`);
    if (space.ownerId === principal.userId) throw new AppError('forbidden', 'the owner cannot leave a shared folder, only delete it');
    await endMembership(batch, { place, base: 'any', onlyEmpty: false }, null);
  });
}

/** Members and invited users of the space that the path is in. */
export async function membersAt(db: Rows, view: View, space: number): Promise<Member[]> {
  const members = await db.selectFrom('members').select(['user_name', 'role']).where('space', '=', space).orderBy('user_name').execute();
  const invited = await db
    .selectFrom('invitations')
    .select(['to_name', 'role'])
    .where('space', '=', space)
    .where('state', '=', 'pending')
    .orderBy('to_name')
    .execute();
  if (!view.byId.has(space)) return [];
  return [
    ...members.map(({ user_name, role }): Member => ({ user: user_name, role: ROLES[role] as Role, state: 'member' })),
    ...invited.map(({ to_name, role }): Member => ({ user: to_name, role: ROLES[role] as Role, state: 'invited' })),
  ];
}

type Sharing = Pick<Metadata, 'invite' | 'invitations' | 'accept' | 'decline' | 'leave'>;

export function sharing(store: Store): Sharing {
  return {
    invite: (principal, request) => invite(store, principal, request),
    invitations: (principal) => invitations(store.database.db, principal),
    accept: (principal, id) => accept(store, principal, id),
    decline: (principal, id) => decline(store, principal, id),
    leave: (principal, path) => leave(store, principal, path),
  };
}
