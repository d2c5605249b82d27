import type { NodeId, TreeNode } from '../core/tree.ts';
import type { AgreedNode, LocalNode, ServerNode } from './index_nodes.ts';
import { agreedNode, localNode, type Row, seenValues, serverNode, serverValues, treeValues } from './index_rows.ts';
import type { Statements, Value } from './index_statements.ts';

/** A row of a side: what is there, or that nothing is there any more; then `node` is what had been agreed. */
export type Overlaid<T> = { readonly node: T; readonly isGone: boolean };

/** The rows of one table by id. Those read or written lately are remembered, also that there is none. */
export type Table<T> = {
  get(id: NodeId): T | null;
  put(id: NodeId, row: T): void;
  /** Another statement has made the row this; `null`: there is none. */
  remember(id: NodeId, row: T | null): void;
  delete(id: NodeId): void;
  /** After changes that went by other ways, and those that were taken back. */
  forget(): void;
};

export type NodeTables = {
  readonly agreed: Table<AgreedNode>;
  readonly local: Table<Overlaid<LocalNode>>;
  readonly remote: Table<Overlaid<ServerNode>>;
  /** Nothing has this id, and nothing had. */
  neverUsed(id: NodeId): void;
  /** Folders that have a picture lose it. */
  deletePicture(folder: NodeId): void;
  /** One may have been kept. */
  pictureKept(folder: NodeId): void;
  forget(): void;
};

const REMEMBERED_MAX = 32_768; // rows of a table; some hundred bytes each

export function nodeTables(statements: Statements): NodeTables {
  const { run } = statements;
  const agreed = openTable(statements, 'agreed', 19, agreedNode, (node) => [
    ...treeValues(node),
    ...seenValues(node.seen),
    ...serverValues(node),
  ]);
  const local = openTable(statements, 'local', 15, overlaid(localNode), (row) => [...overlaidValues(row), ...seenValues(row.node.seen)]);
  const remote = openTable(statements, 'remote', 12, overlaid(serverNode), (row) => [...overlaidValues(row), ...serverValues(row.node)]);
  const unpictured = new Set<NodeId>();
  return {
    agreed,
    local,
    remote,
    neverUsed(id) {
      for (const table of [agreed, local, remote]) table.remember(id, null);
    },
    deletePicture(folder) {
      if (unpictured.has(folder)) return;
      run('DELETE FROM pictures WHERE folder = ?', folder);
      if (unpictured.size >= REMEMBERED_MAX) unpictured.clear();
      unpictured.add(folder);
    },
    pictureKept: (folder) => void unpictured.delete(folder),
    forget() {
      for (const table of [agreed, local, remote]) table.forget();
      unpictured.clear();
    },
  };
}

export const marks = (count: number): string => Array.from({ length: count }, () => '?').join(', ');

function openTable<T>(
  { one, run }: Statements,
  name: string,
  columns: number,
  make: (row: Row) => T,
  values: (row: T) => Value[],
): Table<T> {
  const known = new Map<NodeId, T | null>();
  const select = `SELECT * FROM ${name} WHERE id = ?`;
  const insert = `INSERT OR REPLACE INTO ${name} VALUES (${marks(columns)})`;
  const remove = `DELETE FROM ${name} WHERE id = ?`;
  const remember = (id: NodeId, row: T | null): void => {
    if (known.size >= REMEMBERED_MAX) known.clear();
    known.set(id, row);
  };
  return {
    get(id) {
      const before = known.get(id);
      if (before !== undefined) return before;
      const found = one(select, id);
      const row = found === undefined ? null : make(found);
      remember(id, row);
      return row;
    },
    put(id, row) {
      run(insert, ...values(row));
      remember(id, row);
    },
    remember,
    delete(id) {
      if (known.get(id) === null) return;
      run(remove, id);
      remember(id, null);
    },
    forget: () => known.clear(),
  };
}

function overlaid<T extends TreeNode>(make: (row: Row) => T): (row: Row) => Overlaid<T> {
  return (row) => ({ node: make(row), isGone: row.kind === null });
}

function overlaidValues({ node, isGone }: Overlaid<TreeNode>): Value[] {
  const values = treeValues(node);
  return isGone ? values.with(4, null) : values;
}
