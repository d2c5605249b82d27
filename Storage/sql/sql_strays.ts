import { sql } from 'kysely';
import { childPath, foldName } from '../../Models/names.ts';
import type { Store } from './sql_metadata_batch.ts';
import { openBatch, SPARE_IDS } from './sql_metadata_commit.ts';
import { freeName } from './sql_metadata_members.ts';
import { manifestOf } from './sql_metadata_move.ts';
import { KIND, NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';

/** An entry that lay in a folder of another space, and is in the root of its own now. */
export type Stray = { readonly nodeId: number; readonly ownerId: string; readonly ownerName: string };

type Ground = { readonly space: number; readonly root: number; readonly ownerId: string; readonly ownerName: string };

const DONE = 'strays';
/** In place of a device in the journal. */
const DEVICE = 'server';
/**
 * What was deleted in a folder before that became a space stays behind, and is no stray; nor is a mount ever one. Only what somebody went back with is
 * looked at, so that a large database starts as fast as a small one.
 */
const IS_STRAY = sql.raw(`n.deleted_seq IS NULL AND n.kind <> ${KIND.mount} AND p.space <> n.space AND n.id IN (
  SELECT j.node FROM commits c JOIN journal j ON j.space = c.space AND j.seq BETWEEN c.first_seq AND c.last_seq WHERE c.reason IS NOT NULL)`);

/**
 * Rewinds and undos of earlier versions brought what had been deleted back into a folder that had become another space since: whoever listed that
 * saw it, and no feed told of it. Looks for it once in a database, and moves it to the root of its own space under a name that is free there.
 * @throws AppError as any write; what was moved before stays so, and the next call goes on
 */
export async function takeStraysHome(store: Store): Promise<Stray[]> {
  const { db } = store.database;
  const done = await db.selectFrom('settings').select('value').where('name', '=', DONE).executeTakeFirst();
  if (done !== undefined) return [];
  const { rows: grounds } =
    await sql<Ground>`SELECT s.id AS space, s.root, s.owner_id AS "ownerId", s.owner_name AS "ownerName" FROM spaces s
    WHERE s.id IN (SELECT n.space FROM nodes n JOIN nodes p ON p.id = n.parent WHERE ${IS_STRAY}) ORDER BY s.id`.execute(db);
  const moved: Stray[] = [];
  for (const ground of grounds) moved.push(...(await takeHome(store, ground)));
  await store.database.write((trx) =>
    trx
      .insertInto('settings')
      .values({ name: DONE, value: 'none' })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute(),
  );
  return moved;
}

async function takeHome(store: Store, { space, root, ownerId, ownerName }: Ground): Promise<Stray[]> {
  const principal = { userId: ownerId, userName: ownerName, deviceId: DEVICE };
  await store.ids.reserve(SPARE_IDS);
  return store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [] });
    await batch.ledger.lock([space]);
    const strays = await straysOf(trx, space);
    for (const stray of strays) {
      const name = await freeName(store, trx, root, stray.name);
      const node: Node = { ...stray, parent: root, name, key: foldName(name) };
      const manifest = await manifestOf(batch, stray);
      const where = { path: childPath('/', name), fromPath: stray.path };
      node.version = batch.ledger.record(space, { kind: 'move', node, ...where, manifest });
      batch.ledger.update(node);
      await batch.ledger.flush(); // the next one finds its name taken
    }
    await batch.finish();
    return strays.map(({ id }) => ({ nodeId: id, ownerId, ownerName }));
  });
}

/** With the path that the journal told last. */
async function straysOf(trx: Rows, space: number): Promise<(Node & { readonly path: string })[]> {
  const { rows } = await sql<Node & { readonly path: string }>`SELECT ${sql.raw(NODE_COLUMNS)}, j.path FROM nodes n
    JOIN nodes p ON p.id = n.parent JOIN journal j ON j.space = n.space AND j.seq = n.version
    WHERE n.space = ${space} AND ${IS_STRAY} ORDER BY n.id`.execute(trx);
  return rows;
}
