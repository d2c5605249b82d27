import { randomBytes } from 'node:crypto';
import type { ExpressionBuilder } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { checkName, splitPath } from '../../Models/names.ts';
import type { Database } from '../database.ts';
import type { Principal } from '../metadata.ts';
import { pageMark, readPageMark } from '../publication_marks.ts';
import type {
  AnnouncedFile,
  Audience,
  OwnPublication,
  Publication,
  Publications,
  PublishedFile,
  PublishedQuery,
  Told,
} from '../publications.ts';
import { sqlFetches } from './sql_fetches.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';
import { loadView } from './sql_metadata_view.ts';

/** @param now milliseconds since 1970 */
export function sqlPublications(database: Database<MetadataSchema>, now: () => number = Date.now): Publications {
  const { db, write } = database;
  return {
    ...sqlFetches(database, now),
    open: (who, wanted) => write((trx) => open(trx, who, { ...wanted, nowMs: now() })),
    own: (who, id) => ofDevice(db, who, id),
    ofUser: (who) => ofUser(db, who),
    announce: (who, id, change) => write((trx) => announce(trx, who, { id, ...change, nowMs: now() })),
    withdraw: (who, id) => write((trx) => withdraw(trx, who, id)),
    list: (who, query) => list(db, who, query),
    find: (who, file) => find(db, who, file),
    toldOf: (id) => toldOf(db, id),
  };
}

const COLUMNS = ['p.id', 'p.user_id', 'p.user_name', 'p.device', 'p.name'] as const;
type PublicationRow = Pick<MetadataSchema['publications'], 'id' | 'user_id' | 'user_name' | 'device' | 'name'>;

function publicationOf({ id, user_id, user_name, device, name }: PublicationRow): Publication {
  return { id, name, userId: user_id, userName: user_name, deviceId: device };
}

/** Those whom `p` is for. Of a shared folder that its owner has left nobody but the owner is told. */
function isFor(userId: string) {
  return (e: ExpressionBuilder<MetadataSchema & { p: MetadataSchema['publications'] }, 'p'>) =>
    e.or([
      e('p.user_id', '=', userId),
      e('p.audience', '=', 'everyone'),
      e.exists(
        e.selectFrom('publication_users as u').select('u.user_id').whereRef('u.publication', '=', 'p.id').where('u.user_id', '=', userId),
      ),
      e.exists(
        e
          .selectFrom('members as m')
          .innerJoin('spaces as s', 's.id', 'm.space')
          .innerJoin('members as o', 'o.space', 'm.space')
          .select('m.user_id')
          .whereRef('m.space', '=', 'p.space')
          .where('m.user_id', '=', userId)
          .whereRef('o.user_id', '=', 'p.user_id')
          .where('s.deleted_at_ms', 'is', null),
      ),
    ]);
}

async function ofDevice(db: Rows, { userId, deviceId }: Principal, id: string): Promise<Publication> {
  const own = db.selectFrom('publications as p').select(COLUMNS).where('p.id', '=', id).where('p.user_id', '=', userId);
  const row = await own.where('p.device', '=', deviceId).executeTakeFirst();
  if (row === undefined) throw new AppError('not_found', 'this device announces nothing of this id');
  return publicationOf(row);
}

type Wanted = { readonly name: string; readonly audience: Audience; readonly nowMs: number };

async function open(trx: Rows, who: Principal, { name, audience, nowMs }: Wanted): Promise<Publication> {
  checkName(name);
  const space = audience.kind === 'space' ? await sharedSpaceAt(trx, who, audience.path) : null;
  const made = {
    id: randomBytes(16).toString('hex'),
    user_id: who.userId,
    user_name: who.userName,
    device: who.deviceId,
    name,
    audience: audience.kind,
    space,
    made_at_ms: nowMs,
  };
  const { id } = await trx
    .insertInto('publications')
    .values(made)
    .onConflict((conflict) =>
      conflict.columns(['user_id', 'device', 'name']).doUpdateSet({ audience: audience.kind, space, user_name: who.userName }),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  if (id === made.id) await checkNumber(trx, who);
  await trx.deleteFrom('publication_users').where('publication', '=', id).execute();
  const users = audience.kind === 'users' ? audience.users : [];
  if (users.length > LIMITS.publicationUsersMax)
    throw new AppError('too_large', `at most ${LIMITS.publicationUsersMax} users are listed one by one`);
  for (const user of users) {
    await trx
      .insertInto('publication_users')
      .values({ publication: id, user_id: user.id, user_name: user.name })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  return { ...who, id, name };
}

async function checkNumber(trx: Rows, { userId, deviceId }: Principal): Promise<void> {
  const count = trx.selectFrom('publications').select((e) => e.fn.countAll<number>().as('count'));
  const row = await count.where('user_id', '=', userId).where('device', '=', deviceId).executeTakeFirstOrThrow();
  if (Number(row.count) > LIMITS.publicationsPerDeviceMax) {
    throw new AppError('too_large', `one device announces at most ${LIMITS.publicationsPerDeviceMax} folders`);
  }
}

async function sharedSpaceAt(trx: Rows, { userId }: Principal, path: string): Promise<number> {
  const parts = splitPath(path);
  const space = (await loadView(trx, userId)).mounts.get(`/${parts.join('/')}`);
  if (space === undefined) throw new AppError('not_found', `there is no shared folder at ${path}`);
  return space.id;
}

async function ofUser(db: Rows, { userId }: Principal): Promise<OwnPublication[]> {
  const rows = await db
    .selectFrom('publications as p')
    .leftJoin('published_files as f', 'f.publication', 'p.id')
    .select([...COLUMNS, 'p.audience'])
    .select((e) => [e.fn.count<number>('f.path').as('files'), e.fn.sum<number | null>('f.size').as('bytes')])
    .where('p.user_id', '=', userId)
    .groupBy([...COLUMNS, 'p.audience'])
    .orderBy('p.name')
    .orderBy('p.id')
    .execute();
  const listed = await db
    .selectFrom('publication_users as u')
    .innerJoin('publications as p', 'p.id', 'u.publication')
    .select(['u.publication', 'u.user_name'])
    .where('p.user_id', '=', userId)
    .orderBy('u.user_name')
    .execute();
  return rows.map((row) => ({
    ...publicationOf(row),
    audience: row.audience,
    users: listed.filter(({ publication }) => publication === row.id).map(({ user_name }) => user_name),
    files: Number(row.files),
    bytes: Number(row.bytes ?? 0),
  }));
}

type Change = { readonly id: string; readonly files: readonly AnnouncedFile[]; readonly gone: readonly string[]; readonly nowMs: number };

async function announce(trx: Rows, who: Principal, { id, files, gone, nowMs }: Change): Promise<void> {
  for (const path of [...files.map((file) => file.path), ...gone]) checkPath(path);
  await ofDevice(trx, who, id);
  for (const path of gone) await trx.deleteFrom('published_files').where('publication', '=', id).where('path', '=', path).execute();
  for (const { path, size, digest } of files) {
    await trx
      .insertInto('published_files')
      .values({ publication: id, path, size, digest, announced_at_ms: nowMs })
      .onConflict((conflict) => conflict.columns(['publication', 'path']).doUpdateSet({ size, digest, announced_at_ms: nowMs }))
      .execute();
  }
  const count = trx.selectFrom('published_files').select((e) => e.fn.countAll<number>().as('count'));
  const row = await count.where('publication', '=', id).executeTakeFirstOrThrow();
  if (Number(row.count) > LIMITS.publishedFilesMax) {
    throw new AppError('too_large', `at most ${LIMITS.publishedFilesMax} files are announced of one folder`);
  }
}

/** @throws AppError `path_invalid`, `name_invalid` */
function checkPath(path: string): void {
  const parts = splitPath(`/${path}`);
  if (parts.length === 0 || parts.join('/') !== path) throw new AppError('path_invalid', 'a published path is relative and names a file');
}

async function withdraw(trx: Rows, { userId }: Principal, id: string): Promise<Publication> {
  const row = await trx
    .selectFrom('publications as p')
    .select(COLUMNS)
    .where('p.id', '=', id)
    .where('p.user_id', '=', userId)
    .executeTakeFirst();
  if (row === undefined) throw new AppError('not_found', 'nothing of this id is announced');
  await trx.deleteFrom('published_files').where('publication', '=', id).execute();
  await trx.deleteFrom('publication_users').where('publication', '=', id).execute();
  await trx.deleteFrom('publications').where('id', '=', id).execute();
  return publicationOf(row);
}

/** Files that the user may fetch. */
function visible(db: Rows, userId: string) {
  return db
    .selectFrom('publications as p')
    .innerJoin('published_files as f', 'f.publication', 'p.id')
    .select([...COLUMNS, 'f.path', 'f.size', 'f.digest', 'f.announced_at_ms'])
    .where((e) => isFor(userId)(e as never));
}

type FileRow = PublicationRow & Omit<MetadataSchema['published_files'], 'publication'>;

function fileOf(row: FileRow): PublishedFile {
  const { path, size, digest, announced_at_ms: announcedAtMs } = row;
  return { publication: publicationOf(row), path, size, digest, announcedAtMs };
}

const ORDER = ['p.user_name', 'p.name', 'p.id', 'f.path'] as const;

async function list(db: Rows, { userId }: Principal, { id, user, name, own, after, limit }: PublishedQuery) {
  let query = visible(db, userId);
  if (own) query = query.where('p.user_id', '=', userId);
  if (id !== null) query = query.where('p.id', '=', id);
  if (user !== null) query = query.where('p.user_name', '=', user);
  if (name !== null) {
    const [set = '', ...rest] = name.split('/');
    query = query.where((e) => e.or([e('f.path', '=', name), e.and([e('p.name', '=', set), e('f.path', '=', rest.join('/'))])]));
  }
  if (after !== null) {
    const mark = readPageMark(after, ORDER.length);
    query = query.where((e) =>
      e(e.refTuple(...ORDER), '>', e.tuple(mark[0] as string, mark[1] as string, mark[2] as string, mark[3] as string)),
    );
  }
  for (const column of ORDER) query = query.orderBy(column);
  const files = (await query.limit(limit + 1).execute()).map(fileOf);
  const last = files.length > limit ? files[limit - 1] : undefined;
  const next = last === undefined ? null : pageMark([last.publication.userName, last.publication.name, last.publication.id, last.path]);
  return { files: files.slice(0, limit), next };
}

async function find(
  db: Rows,
  { userId }: Principal,
  { id, path }: { readonly id: string; readonly path: string },
): Promise<PublishedFile | null> {
  const row = await visible(db, userId).where('p.id', '=', id).where('f.path', '=', path).executeTakeFirst();
  return row === undefined ? null : fileOf(row);
}

async function toldOf(db: Rows, id: string): Promise<Told | null> {
  const row = await db
    .selectFrom('publications as p')
    .select([...COLUMNS, 'p.audience', 'p.space'])
    .where('p.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return null;
  const readers = row.audience === 'everyone' ? row.audience : await readersOf(db, row);
  return { publication: publicationOf(row), readers };
}

async function readersOf(
  db: Rows,
  { id, audience, space, user_id: owner }: Pick<MetadataSchema['publications'], 'id' | 'audience' | 'space' | 'user_id'>,
): Promise<string[]> {
  if (audience === 'users') {
    const users = await db.selectFrom('publication_users').select('user_id').where('publication', '=', id).execute();
    return [owner, ...users.map(({ user_id }) => user_id)];
  }
  const members = await db
    .selectFrom('members as m')
    .innerJoin('spaces as s', 's.id', 'm.space')
    .select('m.user_id')
    .where('m.space', '=', space ?? -1)
    .where('s.deleted_at_ms', 'is', null)
    .execute();
  const ids = members.map(({ user_id }) => user_id);
  return ids.includes(owner) ? ids : [owner];
}
