import { AppError } from '../../Models/errors.ts';
import { childPath } from '../../Models/names.ts';
import { type Batch, pathInSpace } from './sql_metadata_batch.ts';
import { carryContent, childPages } from './sql_metadata_copy.ts';
import { settle } from './sql_metadata_members.ts';
import { folderNode, KIND, type Node, OWNER } from './sql_metadata_schema.ts';
import type { FolderRef, Place } from './sql_metadata_tree.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** The mounts that the caller sees below a path. */
function mountedBelow({ view }: Batch, path: string): SpaceView[] {
  return view.spaces.filter((space) => space.path.startsWith(`${path}/`));
}

/** The folder at a place, if it may become a space. */
export function shareable(batch: Batch, place: Place): Node {
  const node = batch.tree.at(place);
  if (node === null) throw new AppError('not_found', `nothing at ${place.path}`);
  if (node.kind !== KIND.folder) throw new AppError('not_a_folder', `${place.path} is not a folder`);
  const outer = place.parent?.space;
  if (outer === undefined) throw new AppError('invitation_invalid', 'a whole home cannot be shared, only a folder in it');
  if (outer.role < OWNER) throw new AppError('forbidden', 'only an owner invites');
  // whoever is a member around it is one in the new space; of a home that is nobody else
  const foreign = outer.isHome && mountedBelow(batch, place.path).some(({ ownerId }) => ownerId !== batch.principal.userId);
  if (foreign) throw new AppError('invitation_invalid', 'the folder holds shared folders of others');
  return node;
}

/**
 * Turns a folder into a space: its nodes keep their ids and go over, each with an `import` row in the new journal, and a mount takes the
 * folder's place. The new journal goes on behind the head of the one it comes from, so no version number of before can mean something else now.
 * The first owner is that of the space it was in.
 */
export async function makeSpace(batch: Batch, place: Place, top: Node): Promise<number> {
  const { trx, ledger, principal } = batch;
  const outer = (place.parent as FolderRef).space;
  const space = batch.nextId();
  const mount = folderNode(
    { id: batch.nextId(), space: outer.id, parent: top.parent, name: top.name, key: top.key },
    { nowMs: batch.nowMs, mount: space },
  );
  mount.version = ledger.record(outer.id, { kind: 'share', node: top, path: pathInSpace(place) });
  ledger.begin(space, mount.version);
  const owner = outer.isHome ? { id: principal.userId, name: principal.userName } : { id: outer.ownerId, name: outer.ownerName };
  await trx
    .insertInto('spaces')
    .values({
      id: space,
      root: top.id,
      head: mount.version,
      owner_id: owner.id,
      owner_name: owner.name,
      home_of: null,
      deleted_at_ms: null,
    })
    .execute();

  const queue: { folder: number; path: string }[] = [];
  const inner: number[] = [];
  async function bring(
    nodes: readonly Node[],
    at: (node: Node) => Pick<Node, 'parent' | 'name' | 'key'> & { path: string },
  ): Promise<void> {
    const manifests = await carryContent(batch, nodes, space);
    for (const node of nodes) {
      const { path, ...own } = at(node);
      const moved: Node = { ...node, ...own, space };
      const shown = node.mount === null ? moved : { ...moved, id: batch.view.byId.get(node.mount)?.root ?? node.id, kind: KIND.folder };
      moved.version = ledger.record(space, { kind: 'import', node: shown, path, manifest: manifests.get(node.id) ?? null });
      ledger.update(moved);
      if (node.kind === KIND.folder) queue.push({ folder: node.id, path });
      if (node.mount !== null) inner.push(node.mount);
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
  await settle(batch, space, { grant: { userId: owner.id, userName: owner.name, role: OWNER } });
  return space;
}
