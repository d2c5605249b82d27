import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { childPath } from '../../Models/names.ts';
import { type Batch, pathInSpace } from './sql_metadata_batch.ts';
import { chunkValues, digestKey } from './sql_metadata_chunks.ts';
import type { JournalEntry } from './sql_metadata_ledger.ts';
import { KIND, NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';
import type { Place } from './sql_metadata_tree.ts';

const PAGE = 1000;

/** A level of a subtree still to be read: the folder's children, to be shown at `path`. */
export type Branch<Extra> = { readonly folder: number; readonly path: string } & Extra;

/** The living children of one folder in pages, by key. */
export async function* childPages(db: Rows, folder: number): AsyncGenerator<Node[]> {
  for (let after: string | null = null; ; ) {
    const behind: ReturnType<typeof sql> = after === null ? sql`` : sql`AND n.key > ${after}`;
    const { rows } = await sql<Node>`SELECT ${sql.raw(NODE_COLUMNS)} FROM nodes n
      WHERE n.parent = ${folder} AND n.deleted_seq IS NULL ${behind} ORDER BY n.key LIMIT ${PAGE}`.execute(db);
    if (rows.length > 0) yield rows;
    if (rows.length < PAGE) return;
    after = (rows.at(-1) as Node).key;
  }
}

/** The chunk digests of files, by node id. */
async function contentOf(batch: Batch, nodes: readonly Node[]): Promise<{ manifests: Map<number, Buffer>; digests: Buffer[] }> {
  const several = nodes.filter((node) => node.kind === KIND.file && node.chunkCount > 1);
  const rows = await batch.store.manifests(
    batch.trx,
    several.map((node) => [node.space, node.version]),
  );
  const byVersion = new Map(rows.map((row) => [`${row.space}:${row.version}`, row.manifest]));
  const manifests = new Map<number, Buffer>();
  const digests: Buffer[] = [];
  for (const node of nodes) {
    if (node.kind !== KIND.file) continue;
    if (node.chunkCount === 1) digests.push(node.digest as Buffer);
    if (node.chunkCount < 2) continue;
    const manifest = byVersion.get(`${node.space}:${node.version}`);
    if (manifest === undefined) throw new AppError('corrupt', 'a manifest is missing');
    manifests.set(node.id, manifest);
    for (let at = 0; at < manifest.length; at += 36) digests.push(manifest.subarray(at, at + 32));
  }
  return { manifests, digests };
}

/** Makes the chunks of these files readable in `space`, and gives their manifests. All must be readable by the caller now. */
export async function carryContent(batch: Batch, nodes: readonly Node[], space: number): Promise<Map<number, Buffer>> {
  const { manifests, digests } = await contentOf(batch, nodes);
  if (nodes.every((node) => node.space === space)) return manifests;
  const known = await batch.store.chunks.readable(batch.trx, batch.view, digests);
  for (const digest of digests) {
    const chunk = known.get(digestKey(digest));
    if (chunk === undefined) throw new AppError('corrupt', 'a chunk of a stored file is not recorded');
    if (chunk.spaces.includes(space)) continue;
    chunk.spaces.push(space);
    batch.ledger.addChunk(chunkValues(digest, space, chunk.place));
  }
  return manifests;
}

type Copy = { readonly source: Node; readonly folder: Node; readonly place: Place; readonly op: number };

/**
 * Copies rows, no bytes: new nodes, each with a journal row, in the folder's space. Shared folders below become ordinary ones.
 * @returns the new top
 */
export async function copySubtree(batch: Batch, { source, folder, place, op }: Copy): Promise<Node> {
  const { trx, ledger } = batch;
  const queue: Branch<{ into: number }>[] = [];

  async function copyAll(
    nodes: readonly Node[],
    into: number,
    at: (node: Node) => Pick<JournalEntry, 'path' | 'op'> & { name: string; key: string },
  ): Promise<Node[]> {
    const manifests = await carryContent(batch, nodes, folder.space);
    const ids = await batch.store.ids.take(trx, nodes.length);
    return nodes.map((node, i) => {
      const { path, op: number, name, key } = at(node);
      const kind = node.kind === KIND.mount ? KIND.folder : node.kind;
      const copy: Node = { ...node, id: ids[i] as number, space: folder.space, parent: into, name, key, kind, mount: null, version: 0 };
      const from = node.mount === null ? node.id : batch.view.byId.get(node.mount)?.root;
      copy.version = ledger.record(folder.space, {
        kind: 'copy',
        node: copy,
        path,
        manifest: manifests.get(node.id) ?? null,
        op: number ?? null,
      });
      ledger.insert(copy);
      if (kind === KIND.folder && from !== undefined) queue.push({ folder: from, path, into: copy.id });
      return copy;
    });
  }

  const [top] = (await copyAll([source], folder.id, () => ({ path: pathInSpace(place), op, name: place.name, key: place.key }))) as [Node];
  for (let branch = queue.pop(); branch !== undefined; branch = queue.pop()) {
    const { path, into } = branch;
    for await (const page of childPages(trx, branch.folder)) {
      await copyAll(page, into, ({ name, key }) => ({ path: childPath(path, name), name, key }));
      if (ledger.pending < PAGE) continue;
      await ledger.flush();
      await setImmediate();
    }
  }
  await ledger.flush();
  batch.tree.put(folder, top.key, top);
  return top;
}
