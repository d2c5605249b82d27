import { randomBytes } from 'node:crypto';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { allowsUpload, type LinkState } from '../../Models/links.ts';
import { runSql } from '../database.ts';
import type { Links, ManagedLink, NewLink, OpenLink } from '../links.ts';
import type { Principal } from '../metadata.ts';
import { accessLog } from './sql_link_accesses.ts';
import { type Concern, concernsOf, type LinkRow, type Reached, reach, rowsOf } from './sql_link_reach.ts';
import type { Store } from './sql_metadata_batch.ts';
import { openBatch, SHARING_IDS } from './sql_metadata_commit.ts';
import { recordNotice } from './sql_metadata_notice.ts';
import { EDITOR, KIND, OWNER, type Rows } from './sql_metadata_schema.ts';
import { type Lookups, openPathBook, openTree } from './sql_metadata_tree.ts';
import { loadView, type SpaceView, type View } from './sql_metadata_view.ts';

/** @param openMax links of one user that are neither revoked nor expired */
export function sqlLinks(store: Store, openMax: number = LIMITS.linksPerUserMax): Links {
  const { database } = store;
  const log = accessLog(database, store.now);
  return {
    create: (principal, link) => create(store, principal, { ...link, openMax }),
    managed: (principal, query) => managed(store, principal, query),
    revoke: (principal, id) => revoke(store, principal, id),
    async accesses(principal, id) {
      await managedRow(store, database.db, principal, id);
      return log.newest(id);
    },
    find: (tokenHash) => find(store, tokenHash),
    begin: log.begin,
    end: log.end,
    undo: log.undo,
  };
}

/** What a path of the caller's leads to, if it is something that can be linked. */
async function linkable(store: Store, trx: Rows, view: View, { path, mode }: NewLink): Promise<Reached> {
  if (view.home === null) throw new AppError('not_found', `nothing at ${path}`);
  const place = openPathBook(view).place(path);
  const tree = openTree(trx, store.lookups);
  await tree.load([place]);
  const node = tree.at(place);
  const space = (place.top ?? place.parent)?.space;
  if (node === null || space === undefined) throw new AppError('not_found', `nothing at ${path}`);
  if (place.parent === null) throw new AppError('path_invalid', 'a whole home cannot be linked, only what is in it');
  if (node.kind === KIND.symlink) throw new AppError('not_a_file', 'a symlink cannot be linked');
  if (allowsUpload(mode) && node.kind !== KIND.folder) throw new AppError('not_a_folder', 'uploads go into a folder');
  if (allowsUpload(mode) && space.role < EDITOR) throw new AppError('forbidden', 'your role here does not allow to write, so no link can');
  return { node, space, path: place.path, name: place.name };
}

async function create(
  store: Store,
  principal: Principal,
  { openMax, ...link }: NewLink & { readonly openMax: number },
): Promise<ManagedLink> {
  await store.ids.reserve(SHARING_IDS);
  return store.database.write(async (trx) => {
    const nowMs = store.now();
    const target = await linkable(store, trx, await loadView(trx, principal.userId), link);
    await makeRoom(trx, principal.userId, { nowMs, openMax });
    const row: LinkRow = {
      id: randomBytes(16).toString('hex'),
      token_hash: link.tokenHash,
      maker_id: principal.userId,
      maker_name: principal.userName,
      node: target.node.id,
      mode: link.mode,
      password: link.password,
      created_at_ms: nowMs,
      expires_at_ms: link.expiresAtMs,
      revoked_at_ms: null,
      uses_max: link.usesMax,
      uses: 0,
      log_head: 0,
    };
    await trx.insertInto('links').values(row).execute();
    const state = stateOf(row, target, nowMs);
    await tell(store, trx, { row, by: principal, state });
    return managedLink(row, target.path, state);
  });
}

/** Maker, who revokes, and whoever is shown the link because of a shared folder of theirs hear of it, each with the path that they know. */
async function tell(store: Store, trx: Rows, { row, by, state }: { row: LinkRow; by: Principal; state: LinkState }): Promise<void> {
  const { id: link, node, mode, maker_id: userId, maker_name: maker } = row;
  const view = await loadView(trx, userId);
  const target = (await reach(trx, store.lookups, view, [row])).get(node);
  const shown = target === undefined ? [] : [target.space, ...view.spaces.filter(({ path }) => path.startsWith(`${target.path}/`))];
  const users = new Map([[userId, maker], [by.userId, by.userName], ...(await ownersOf(trx, shown))]);
  const told = Array.from(users, ([id, userName]) => ({ userId: id, userName }));
  const batch = await openBatch(store, trx, { principal: by, stream: null, chunks: [], paths: [], told });
  for (const user of told) {
    const id = user.userId;
    const own = id === userId ? view : await loadView(trx, id);
    const seen = id === userId ? target?.path : (await reach(trx, store.lookups, own, [row])).get(node)?.path;
    const path = seen ?? shown.map((space) => own.byId.get(space.id)).find((space) => space?.role === OWNER)?.path ?? null;
    await recordNotice(batch, user, { kind: 'link', details: { link, maker, mode, path, state } });
  }
  await batch.finish();
}

async function ownersOf(trx: Rows, spaces: readonly SpaceView[]): Promise<(readonly [string, string])[]> {
  if (spaces.length === 0) return [];
  const owners = trx.selectFrom('members').select(['user_id', 'user_name']).where('role', '=', OWNER);
  const ids = spaces.map(({ id }) => id);
  return (await owners.where('space', 'in', ids).execute()).map(({ user_id, user_name }) => [user_id, user_name] as const);
}

/** Makes room, and refuses one too many. */
async function makeRoom(trx: Rows, makerId: string, { nowMs, openMax }: { nowMs: number; openMax: number }): Promise<void> {
  const before = nowMs - LIMITS.linkEndedKeptMs;
  const ended = await trx
    .selectFrom('links')
    .select('id')
    .where('maker_id', '=', makerId)
    .where((e) => e.or([e('revoked_at_ms', '<', before), e('expires_at_ms', '<', before)]))
    .limit(100)
    .execute();
  for (const { id } of ended) {
    await trx.deleteFrom('link_accesses').where('link', '=', id).execute();
    await trx.deleteFrom('links').where('id', '=', id).execute();
  }
  const { open } = await trx
    .selectFrom('links')
    .select((e) => e.fn.countAll<number>().as('open'))
    .where('maker_id', '=', makerId)
    .where('revoked_at_ms', 'is', null)
    .where((e) => e.or([e('expires_at_ms', 'is', null), e('expires_at_ms', '>', nowMs)]))
    .executeTakeFirstOrThrow();
  if (open >= openMax) throw new AppError('too_large', `a user has at most ${openMax} open links`);
}

function stateOf(row: LinkRow, target: Reached | undefined, nowMs: number): LinkState {
  if (row.revoked_at_ms !== null) return 'revoked';
  if (row.expires_at_ms !== null && row.expires_at_ms <= nowMs) return 'expired';
  if (row.uses_max !== null && row.uses >= row.uses_max) return 'used_up';
  return target !== undefined && serves(row, target) ? 'open' : 'unreachable';
}

/** Is there anything that the link can still do? What only takes uploads in needs the right to write. */
function serves(row: LinkRow, { space }: Reached): boolean {
  return row.mode !== 'upload' || space.role >= EDITOR;
}

function managedLink(row: LinkRow, path: string | null, state: LinkState): ManagedLink {
  return {
    id: row.id,
    maker: row.maker_name,
    mode: row.mode,
    state,
    path,
    hasPassword: row.password !== null,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    usesMax: row.uses_max,
    uses: row.uses,
  };
}

async function managed(
  { database, lookups, now }: Store,
  principal: Principal,
  query: { path: string | null; after: string | null; limit: number },
): Promise<{ links: ManagedLink[]; next: string | null }> {
  const { db } = database;
  const view = await loadView(db, principal.userId);
  const concern = await concernsOf(db, lookups, view);
  const rows = (await rowsOf(database, principal.userId, concern)).sort(newestFirst);
  const seen = await reach(db, lookups, view, rows);
  const pathOf = (row: LinkRow): string | null => seen.get(row.node)?.path ?? concern.above.get(row.node)?.path ?? null;
  const wanted = await inScope({ db, lookups, view }, query.path);
  const behind = readAfter(query.after);
  const found = rows.filter((row) => (behind === null || newestFirst(behind, row) < 0) && wanted(pathOf(row)));
  const shown = found.slice(0, query.limit);
  const links: ManagedLink[] = [];
  for (const [makerId, theirs] of Map.groupBy(shown, (row) => row.maker_id)) {
    const reached = makerId === principal.userId ? seen : await reach(db, lookups, await loadView(db, makerId), theirs);
    for (const row of theirs) links.push(managedLink(row, pathOf(row), stateOf(row, reached.get(row.node), now())));
  }
  const place = new Map(shown.map((row, at) => [row.id, at]));
  links.sort((a, b) => (place.get(a.id) as number) - (place.get(b.id) as number));
  const last = shown.at(-1);
  return { links, next: found.length > shown.length && last !== undefined ? `${last.created_at_ms}-${last.id}` : null };
}

type Positioned = Pick<LinkRow, 'created_at_ms' | 'id'>;

function newestFirst(a: Positioned, b: Positioned): number {
  return b.created_at_ms - a.created_at_ms || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function readAfter(after: string | null): Positioned | null {
  if (after === null) return null;
  const [, at, id] = /^(\d{1,15})-([0-9a-f]{32})$/.exec(after) ?? [];
  if (at === undefined || id === undefined) throw new AppError('cursor_invalid', 'not a position of this listing');
  return { created_at_ms: Number(at), id };
}

type Reading = { readonly db: Rows; readonly lookups: Lookups; readonly view: View };

/** A link concerns a path when it leads to it, to what is below it, or to a folder that it is in. */
async function inScope({ db, lookups, view }: Reading, path: string | null): Promise<(linked: string | null) => boolean> {
  if (path === null) return () => true;
  if (view.home === null) throw new AppError('not_found', `nothing at ${path}`);
  const place = openPathBook(view).place(path);
  const tree = openTree(db, lookups);
  await tree.load([place]);
  if (tree.at(place) === null) throw new AppError('not_found', `nothing at ${path}`);
  const within = (inner: string, outer: string): boolean => outer === '/' || inner === outer || inner.startsWith(`${outer}/`);
  return (linked) => linked !== null && (within(linked, place.path) || within(place.path, linked));
}

async function managedRow({ lookups, database }: Store, db: Rows, { userId }: Principal, id: string): Promise<LinkRow> {
  const row = await db.selectFrom('links').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new AppError('not_found', 'no such link');
  if (row.maker_id === userId) return row;
  const concern: Concern = await concernsOf(db, lookups, await loadView(db, userId));
  if (concern.above.has(row.node)) return row;
  const mark = database.dialect === 'sqlite' ? '?' : '$1';
  const [node] = await runSql<{ space: number }>(db, `SELECT space FROM nodes WHERE id = ${mark}`, [row.node]);
  if (node !== undefined && concern.owned.has(node.space)) return row;
  throw new AppError('not_found', 'no such link');
}

async function revoke(store: Store, principal: Principal, id: string): Promise<void> {
  await store.ids.reserve(SHARING_IDS);
  await store.database.write(async (trx) => {
    const row = await managedRow(store, trx, principal, id);
    const open = trx.updateTable('links').set({ revoked_at_ms: store.now() }).where('id', '=', id).where('revoked_at_ms', 'is', null);
    if ((await open.returning('id').executeTakeFirst()) === undefined) return; // it was, maybe a moment ago: that is told once
    await tell(store, trx, { row, by: principal, state: 'revoked' });
  });
}

async function find({ database, lookups, now }: Store, tokenHash: Buffer): Promise<OpenLink | null> {
  const { db } = database;
  const row = await db.selectFrom('links').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();
  if (row === undefined) return null;
  const target = (await reach(db, lookups, await loadView(db, row.maker_id), [row])).get(row.node);
  const state = stateOf(row, target, now());
  if (target === undefined || (state !== 'open' && state !== 'used_up')) return null;
  return {
    id: row.id,
    maker: { userId: row.maker_id, userName: row.maker_name },
    mode: row.mode,
    node: row.node,
    name: target.name,
    kind: target.node.kind === KIND.file ? 'file' : 'folder',
    mayWrite: target.space.role >= EDITOR,
    password: row.password,
    usesMax: row.uses_max,
    usedUp: state === 'used_up',
  };
}
