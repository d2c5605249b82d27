import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { childPath, foldName } from '../../Models/names.ts';
import type { Base, OperationResult, Role } from '../../Models/operations.ts';
import { concernedBy, concernedByOpen, endInvitations, type InvitationConditions } from './sql_metadata_answers.ts';
import { type Batch, done, requireEditor, type Store } from './sql_metadata_batch.ts';
import { prepareNotices, recordNotice } from './sql_metadata_notice.ts';
import { checkBaseOf, checkEmpty } from './sql_metadata_put.ts';
import { folderNode, KIND, type MetadataSchema, NODE_COLUMNS, type Node, OWNER, ROLES, type Rows } from './sql_metadata_schema.ts';
import type { Place } from './sql_metadata_tree.ts';
import { homesOf, loadView, type SpaceView } from './sql_metadata_view.ts';

type MemberRow = MetadataSchema['members'];
/** A living mount; `homeOf`: whose home it is in, null where it is in another shared space. */
type Mount = Node & { readonly homeOf: string | null };

/** The mounts of a space: at most one of them is in another shared space, the others are in the homes of members. */
async function mountsOf(trx: Rows, space: number): Promise<Mount[]> {
  const { rows } = await sql<Mount>`SELECT ${sql.raw(NODE_COLUMNS)}, s.home_of AS "homeOf" FROM nodes n JOIN spaces s ON s.id = n.space
    WHERE n.mount = ${space} AND n.deleted_seq IS NULL ORDER BY n.id`.execute(trx);
  return rows;
}

/** The shared spaces that are mounted in this one. */
async function spacesIn(trx: Rows, space: number): Promise<number[]> {
  const mounts = await trx
    .selectFrom('nodes')
    .select('mount')
    .where('space', '=', space)
    .where('mount', 'is not', null)
    .where('deleted_seq', 'is', null)
    .orderBy('mount')
    .execute();
  return mounts.map(({ mount }) => mount as number);
}

export function membersOf(trx: Rows, space: number): Promise<MemberRow[]> {
  return trx.selectFrom('members').selectAll().where('space', '=', space).orderBy('user_id').execute();
}

/** The roles that members have because the space is inside another one, by user. */
export async function inheritedRoles(trx: Rows, space: number): Promise<Map<string, number>> {
  const outer = (await mountsOf(trx, space)).find((mount) => mount.homeOf === null);
  const members = outer === undefined ? [] : await membersOf(trx, outer.space);
  return new Map(members.map(({ user_id, role }) => [user_id, role]));
}

type Unmounting = { readonly root: number; readonly kind: 'leave' | 'delete'; readonly op: number | null };

/** Takes a mount away, wherever it is, in a space that is locked. For readers the change is about the folder they saw there: the space's root. */
async function unmount(batch: Batch, mount: Mount, { root, kind, op }: Unmounting): Promise<Node> {
  const chain = await batch.store.lookups.chains(batch.trx, [[mount.id]]);
  const byId = new Map(chain.map((row) => [row.id, row]));
  const names: string[] = [];
  for (let row = byId.get(mount.id); row !== undefined && row.parent !== null; row = byId.get(row.parent)) names.push(row.name);
  const shown: Node = { ...mount, id: root, kind: KIND.folder };
  shown.version = batch.ledger.record(mount.space, { kind, node: shown, path: `/${names.reverse().join('/')}`, op });
  batch.ledger.remove(mount, shown.version);
  return shown;
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

/** Where in a home a mount goes that is not there yet. */
export type Spot = { readonly folder: number; readonly name: string; readonly path: string };

/** What changes. `role`: what is given to the user from now on; null: nothing. `spot`: theirs, should they need a mount. */
export type Grant = { readonly userId: string; readonly userName: string; readonly role: number | null; readonly spot?: Spot | null };
type Settling = {
  readonly grant?: Grant;
  /** What the folder is called by those who need a mount of it now. */
  readonly name?: string;
};

type Standing = {
  readonly userId: string;
  readonly userName: string;
  readonly granted: number | null;
  readonly role: number | null; // null: not a member
  readonly before: MemberRow | undefined;
};

/** Everybody who is a member, or was: the role is the most of what was given here and of what comes with the outer space. */
function standingsOf(rows: readonly MemberRow[], outer: readonly MemberRow[], grant: Grant | undefined): Standing[] {
  const before = new Map(rows.map((row) => [row.user_id, row]));
  const inherited = new Map(outer.map((row) => [row.user_id, row.role]));
  const names = new Map([...outer, ...rows].map((row) => [row.user_id, row.user_name]));
  if (grant !== undefined) names.set(grant.userId, grant.userName);
  return Array.from(names, ([userId, userName]) => {
    const granted = grant?.userId === userId ? grant.role : (before.get(userId)?.granted ?? null);
    const role = Math.max(granted ?? -1, inherited.get(userId) ?? -1);
    return { userId, userName, granted, role: role < 0 ? null : role, before: before.get(userId) };
  });
}

async function writeStanding(batch: Batch, space: number, { userId, userName, granted, role, before }: Standing): Promise<void> {
  const { trx, ledger } = batch;
  if (role === null) {
    await trx.deleteFrom('members').where('space', '=', space).where('user_id', '=', userId).execute();
    // What their devices had of it they may give up now without a word; should they be members again, the devices say anew what they have.
    await trx.deleteFrom('sync_reports').where('user_id', '=', userId).execute();
  } else if (before === undefined) {
    const joined_seq = ledger.head(space);
    await trx.insertInto('members').values({ space, user_id: userId, user_name: userName, role, granted, joined_seq }).execute();
  } else await trx.updateTable('members').set({ role, granted }).where('space', '=', space).where('user_id', '=', userId).execute();
}

async function addMount(batch: Batch, space: { id: number; root: number }, home: { id: number; root: number }, spot: Spot): Promise<void> {
  const { folder, name, path } = spot;
  const mount = folderNode(
    { id: batch.nextId(), space: home.id, parent: folder, name, key: foldName(name) },
    { nowMs: batch.nowMs, mount: space.id },
  );
  mount.version = batch.ledger.record(home.id, { kind: 'join', node: { ...mount, id: space.root, kind: KIND.folder }, path });
  batch.ledger.insert(mount);
}

/** Mounts go from the homes of those who are not members any more or find the space inside another one, and come to those who need one. */
async function settleMounts(
  batch: Batch,
  space: { id: number; root: number },
  standings: readonly (Standing & { readonly needsMount: boolean })[],
  { mounts, grant, name }: { mounts: readonly Mount[]; grant: Grant | undefined; name: string | undefined },
): Promise<void> {
  const { trx, ledger, store } = batch;
  const needing = new Set(standings.filter(({ needsMount }) => needsMount).map(({ userId }) => userId));
  const leaving = mounts.filter(({ homeOf }) => homeOf !== null && !needing.has(homeOf));
  const placed = new Set(mounts.map(({ homeOf }) => homeOf));
  const arriving = [...needing].filter((userId) => !placed.has(userId));
  const homes =
    arriving.length === 0
      ? []
      : await trx.selectFrom('spaces').select(['id', 'root', 'home_of']).where('home_of', 'in', arriving).execute();
  await ledger.lock([...leaving.map((mount) => mount.space), ...homes.map(({ id }) => id)]);
  await batch.provideIds(leaving.length + 2 * homes.length);
  for (const mount of leaving) await unmount(batch, mount, { root: space.root, kind: 'leave', op: null });
  await ledger.flush(); // names that are given up are free
  for (const home of homes) {
    const own = grant?.userId === home.home_of ? grant?.spot : null;
    const free = own == null ? await freeName(store, trx, home.root, name ?? 'shared folder') : '';
    await addMount(batch, space, home, own ?? { folder: home.root, name: free, path: childPath('/', free) });
  }
}

/** Who stays a member in another role hears of it. */
async function tellRoles(batch: Batch, space: number, changed: readonly Standing[]): Promise<void> {
  const staying = changed.filter(({ role, before }) => role !== null && before !== undefined);
  await prepareNotices(batch, staying);
  await batch.ledger.flush();
  for (const { userId, userName, role } of staying) {
    const path = (await loadView(batch.trx, userId)).byId.get(space)?.path ?? null;
    await recordNotice(batch, { userId, userName }, { kind: 'role', details: { path, role: ROLES[role ?? 0] as Role } });
  }
}

/** Open invitations hold as long as whoever made them may invite. */
async function revokeUnbacked(batch: Batch, space: number): Promise<void> {
  const unbacked = (e: InvitationConditions) => {
    const owners = e.selectFrom('members').select('user_id').where('space', '=', space).where('role', '=', OWNER);
    return e.and([e('space', '=', space), e('from_id', 'not in', owners)]);
  };
  await endInvitations(batch, unbacked, 'revoked');
}

/**
 * Makes the members of a space, and their mounts of it, follow from what was given and from where the space is mounted: whoever is a member of
 * the space around it is one here too, and finds it there; who is not has a mount in the home. Then the same for the spaces inside it.
 * A space stays inside another one only as long as its first owner can reach it there.
 */
export async function settle(batch: Batch, spaceId: number, { grant, name }: Settling = {}): Promise<void> {
  const { trx, ledger, store } = batch;
  await ledger.lock([spaceId]);
  await ledger.flush();
  const space = await trx.selectFrom('spaces').select(['id', 'root', 'owner_id']).where('id', '=', spaceId).executeTakeFirstOrThrow();
  const mounts = await mountsOf(trx, spaceId);
  const around = mounts.find((mount) => mount.homeOf === null);
  let outer = around === undefined ? [] : await membersOf(trx, around.space);
  if (around !== undefined && !outer.some(({ user_id }) => user_id === space.owner_id)) {
    outer = [];
    await ledger.lock([around.space]);
    await unmount(batch, around, { root: space.root, kind: 'leave', op: null });
  }
  const inside = new Set(outer.map(({ user_id }) => user_id));
  const standings = standingsOf(await membersOf(trx, spaceId), outer, grant).map((standing) => ({
    ...standing,
    needsMount: standing.role !== null && !inside.has(standing.userId),
  }));
  const changed = standings.filter(({ role, before }) => role !== (before?.role ?? null));
  if (changed.length > 0) {
    const [root] = await store.lookups.byId(trx, [[space.root]]);
    if (root === undefined) throw new AppError('corrupt', `the root of space ${spaceId} is missing`);
    ledger.record(spaceId, { kind: 'members', node: root, path: '/' });
  }
  for (const standing of standings) {
    if (changed.includes(standing) || standing.granted !== (standing.before?.granted ?? null))
      await writeStanding(batch, spaceId, standing);
  }
  await settleMounts(batch, space, standings, { mounts, grant, name: name ?? around?.name });
  const touched = store.touchedBy(trx);
  touched.spaces.add(spaceId);
  for (const { userId } of changed) touched.users.add(userId); // some are not readers any more
  if (changed.length === 0) return;
  await tellRoles(batch, spaceId, changed);
  await revokeUnbacked(batch, spaceId);
  await ledger.flush();
  for (const inner of await spacesIn(trx, spaceId)) await settle(batch, inner);
}

/**
 * The owner deletes a shared space: nobody can reach it any more, but nothing in it is touched, and the owner stays noted as
 * its member, so that it can be brought back as it was.
 */
async function deleteSpace(batch: Batch, space: SpaceView, named: Mount, op: number | null): Promise<Node> {
  const { trx, ledger, store } = batch;
  if ((await spacesIn(trx, space.id)).length > 0) {
    throw new AppError('forbidden', 'the folder holds shared folders: leave, delete or move those first');
  }
  const mounts = await mountsOf(trx, space.id);
  const ofSpace = (e: InvitationConditions) => e('space', '=', space.id);
  const told = concernedBy(await concernedByOpen(trx, ofSpace, batch.nowMs)); // their homes are locked with the others, in one order
  const homes = await homesOf(trx, told, { ids: store.ids, nowMs: batch.nowMs });
  await ledger.lock([space.id, ...mounts.map((mount) => mount.space), ...homes.values()]);
  await batch.provideIds(mounts.length);
  for (const mount of mounts) if (mount.id !== named.id) await unmount(batch, mount, { root: space.root, kind: 'leave', op: null });
  const others = await trx
    .deleteFrom('members')
    .where('space', '=', space.id)
    .where('user_id', '!=', space.ownerId)
    .returning('user_id')
    .execute();
  for (const { user_id } of others) store.touchedBy(trx).users.add(user_id);
  await endInvitations(batch, ofSpace, 'revoked');
  await trx.updateTable('spaces').set({ deleted_at_ms: batch.nowMs }).where('id', '=', space.id).execute();
  return unmount(batch, named, { root: space.root, kind: 'delete', op });
}

type Ending = { readonly place: Place; readonly base: Base; readonly onlyEmpty: boolean };

/**
 * Deleting a mount. The owner deletes the shared space; who has it in their home leaves it; and out of the shared folder that it is in,
 * any editor of that one takes it, back to its owner and to who was invited to it.
 */
export async function endMembership(batch: Batch, { place, base, onlyEmpty }: Ending, op: number | null): Promise<OperationResult> {
  const space = place.top?.space;
  const outer = place.parent?.space;
  if (space === undefined || outer === undefined) throw new AppError('path_invalid', 'the root folder cannot be deleted');
  await batch.ledger.flush();
  const mount = (await mountsOf(batch.trx, space.id)).find((one) => one.space === outer.id);
  if (mount === undefined) throw new AppError('not_found', `nothing at ${place.path}`);
  if (space.ownerId !== batch.principal.userId) requireEditor(outer);
  checkBaseOf(batch, base, mount);
  if (onlyEmpty) checkEmpty(batch, batch.tree.root(space));
  const { userId, userName } = batch.principal;
  if (space.ownerId === userId) return done(await deleteSpace(batch, space, mount, op));
  await batch.ledger.lock([space.id]);
  const gone = await unmount(batch, mount, { root: space.root, kind: 'leave', op });
  await settle(batch, space.id, { name: mount.name, ...(outer.isHome && { grant: { userId, userName, role: null } }) });
  return done(gone);
}
