import type { NodeId } from '../core/tree.ts';
import type { Statements } from './index_statements.ts';

type Table = 'local' | 'remote';

/**
 * Some of the nodes that are new on one side and unknown on the other, to be planned by themselves: folders before what is in them, and with
 * each whatever it may turn out to be the same as. None where that cannot be had in a bounded number.
 */
export function someFresh(statements: Statements, atMost: number): NodeId[] {
  const local = freshIn(statements, 'local', atMost + 1);
  const remote = freshIn(statements, 'remote', atMost + 1);
  if (local.length === 0) return remote.slice(0, atMost);
  if (remote.length === 0) return local.slice(0, atMost);
  if (local.length <= atMost) return [...local, ...twins(statements, local, ['local', 'remote'])];
  if (remote.length <= atMost) return [...remote, ...twins(statements, remote, ['remote', 'local'])];
  return [];
}

/** A folder has a smaller id than what is in it. */
function freshIn({ all }: Statements, table: Table, limit: number): NodeId[] {
  const other = table === 'local' ? 'remote' : 'local';
  return all(
    `SELECT o.id FROM ${table} o WHERE o.kind IS NOT NULL AND NOT EXISTS (SELECT 1 FROM agreed a WHERE a.id = o.id)
     AND NOT EXISTS (SELECT 1 FROM ${other} t WHERE t.id = o.id) ORDER BY o.id LIMIT ?`,
    limit,
  ).map((row) => row.id as number);
}

/** What has the same path on the other side, as far as names fold together. */
function twins({ all, one }: Statements, ids: readonly NodeId[], [table, other]: [Table, Table]): NodeId[] {
  const found: NodeId[] = [];
  const folders = new Map<NodeId, NodeId[]>(); // by folder here, the folders there that may be the same
  for (const id of ids) {
    const row = one(`SELECT parent, key FROM ${table} WHERE id = ?`, id);
    if (row === undefined) continue;
    const parent = row.parent as number;
    const there = [parent, ...(folders.get(parent) ?? [])].flatMap((folder) =>
      all(`SELECT id FROM ${other} WHERE parent = ? AND key = ? AND kind IS NOT NULL`, folder, row.key as string).map(
        (twin) => twin.id as number,
      ),
    );
    folders.set(id, there);
    found.push(...there);
  }
  return found;
}
