import { DatabaseSync } from 'node:sqlite';
import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import { someFresh } from './index_fresh.ts';
import {
  type AgreedNode,
  type LocalNode,
  localPart,
  type SeenStat,
  type ServerNode,
  sameAttributes,
  sameNode,
  sameSeen,
  serverPart,
} from './index_nodes.ts';
import { type ConflictRow, type IndexNotes, indexNotes, type Problem } from './index_notes.ts';
import {
  LATER_SCHEMA,
  localNode,
  type Row,
  SCHEMA,
  SCHEMA_VERSION,
  SEEN,
  SERVER,
  seenValues,
  serverNode,
  TREE,
  treeNode,
  treeValues,
} from './index_rows.ts';
import { openStatements } from './index_statements.ts';
import { marks, nodeTables, type Overlaid } from './index_tables.ts';
import { type PlanTrees, partialTrees, planTrees } from './plan_trees.ts';

export type { AgreedNode, ConflictRow, LocalNode, Problem, SeenStat, ServerNode };

type Side<T> = { get(id: NodeId): T | undefined; children(parent: NodeId): T[]; named(parent: NodeId, key: string): T[] };

/**
 * What the engine knows, on disk: the tree that both sides last agreed on, and the local and the remote one where they differ from it.
 * Every method is one step; `transaction` makes several one. What is in it was seen or achieved: it may lag behind the disk and the server, never lead them.
 */
export type SyncIndex = IndexNotes & {
  readonly ancestor: Omit<Side<TreeNode>, 'get'> & { get(id: NodeId): AgreedNode | undefined };
  readonly local: Side<LocalNode>;
  readonly remote: Side<ServerNode>;
  transaction<T>(work: () => T): T;
  /**
   * As `transaction`, for what was only seen, or can be seen again: it does not wait for the disk. A power cut may take the last of it back; what is
   * recorded by a `transaction` is never durable without everything before it.
   */
  observe<T>(work: () => T): T;
  newId(): NodeId;
  /** Nodes in which a side differs from what was agreed, ids ascending. */
  changed(): NodeId[];
  /**
   * The three trees as a plan looks at them; good for as long as nothing is written.
   * @param atMost nodes: where more differ, as many of those that are new on one side
   */
  planTrees(atMost: number): PlanTrees;

  /** What is there locally now; `null`: nothing. */
  setLocal(id: NodeId, node: LocalNode | null): void;
  setRemote(id: NodeId, node: ServerNode | null): void;
  /** With everything below it, as far as that is still there. */
  setLocalGone(id: NodeId): void;
  setRemoteGone(id: NodeId): void;
  /** Both sides are the same: that is what they agree on now. Nothing on both: forgotten. @returns false if they differ */
  agree(id: NodeId): boolean;
  /** Nothing is agreed about it any more: it is new on the side that has it. */
  disagree(id: NodeId): void;
  /** On the remote side this and all below it are other nodes by now, of which the feed will tell: nothing is agreed about them any more. */
  renewed(id: NodeId): void;
  /** Both sides have exactly this now. */
  settle(node: AgreedNode): void;
  /** Both sides had exactly this; what is there locally now stays what it is. */
  settleBefore(node: AgreedNode): void;
  /** Local files in the state in which they were sent, without an answer so far. */
  sent(): LocalNode[];
  noteSent(node: LocalNode): void;
  endSent(id: NodeId): void;
  /** The new local node `local` is the remote node `id`. */
  adopt(id: NodeId, local: NodeId): void;
  /** The synced folders themselves. */
  setRoot(node: number): void;
  forgetRoot(): void;
  /** What the server calls it. */
  byServerNode(node: number): NodeId | undefined;
  /** Nodes that had this identity when they were last seen, also those that are gone. */
  byIdentity(ino: number, birthMs: number): NodeId[];
  /** Some content that both sides have. */
  hasContent(content: string): boolean;
  /** Files that both sides last had with this content, not many of them. */
  withContent(content: string): NodeId[];
  agreedFiles(): number;
  /** At least so many; looks at no more than it takes. */
  hasAgreedFiles(count: number): boolean;
  /** The same of files and folders, the root too, at less cost. */
  hasAgreed(count: number): boolean;
  agreedCount(): number;
  /** Both sides begin anew: what is here counts as seen and not as agreed, so that nothing is taken for deleted. */
  forgetAgreement(): void;
  /** The remote side, or folders of it, are about to be listed; `listed` notes each node of the server that is told, until `endListing`. */
  beginListing(): void;
  listed(node: number): void;
  endListing(): void;
  /** What is below this folder on the remote side, and was not told since `beginListing`. */
  untold(folder: NodeId | undefined): NodeId[];
  /** Takes a node and all below it out of the index on both sides: it is not synced any more, and nothing is deleted. */
  exclude(id: NodeId): void;

  /** Something directly in this folder differs locally from what was agreed. */
  differsIn(folder: NodeId): boolean;
  /** Gives back what is held in memory for speed: nothing will be asked for a while. */
  rest(): void;
  close(): void;
};

const ALIKE_MAX = 4; // if none of these can be read, the others hardly can
const ID_BLOCK = 1024; // ids are taken from the settings in blocks; those of a block that was not used up are lost

/** The log is moved into the file when it has so many: each time waits for the disk twice. */
const LOG_PAGES_MAX = 8192; // 4 KiB each

/** @param file path of the database, or `:memory:` */
export function openSyncIndex(file: string): SyncIndex {
  return syncIndexIn(new DatabaseSync(file));
}

/** @param db closed with the index */
export function syncIndexIn(db: DatabaseSync): SyncIndex {
  db.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16384; PRAGMA busy_timeout = 5000;
     PRAGMA wal_autocheckpoint = ${LOG_PAGES_MAX}; PRAGMA journal_size_limit = ${LOG_PAGES_MAX * 8192}`,
  );
  const version = db.prepare('PRAGMA user_version').get()?.user_version;
  if (version === 0) db.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
  db.exec(LATER_SCHEMA);
  return createIndex(db);
}

function createIndex(db: DatabaseSync): SyncIndex {
  const statements = openStatements(db);
  const { all, one, run } = statements;

  const tables = nodeTables(statements);
  const agreedGet = (id: NodeId): AgreedNode | undefined => tables.agreed.get(id) ?? undefined;
  const agreedTree = (id: NodeId): TreeNode | undefined => {
    const row = one(`SELECT ${TREE('a')} FROM agreed a WHERE id = ?`, id);
    return row === undefined ? undefined : treeNode(row);
  };
  const ancestor = {
    get: agreedGet,
    children: (parent: NodeId, atMost = -1) =>
      all(`SELECT ${TREE('a')} FROM agreed a WHERE parent = ? AND id <> ${ROOT} LIMIT ?`, parent, atMost).map(treeNode),
    named: (parent: NodeId, key: string) =>
      all(`SELECT ${TREE('a')} FROM agreed a WHERE parent = ? AND key = ? AND id <> ${ROOT}`, parent, key).map(treeNode),
  };

  /** A side is its overlay, and where that says nothing what was agreed. */
  const side = <T extends TreeNode>(
    table: 'local' | 'remote',
    columns: (t: string) => string,
    make: (row: Row) => T,
    { get }: { get(id: NodeId): Overlaid<T> | null },
    part: (agreed: AgreedNode) => T,
  ): Side<T> => {
    const fields = (t: string): string => `${TREE(t)}, ${columns(t)}`;
    const both = (where: (t: string) => string): string =>
      `SELECT ${fields('a')} FROM agreed a WHERE ${where('a')} AND a.id <> ${ROOT} AND NOT EXISTS (SELECT 1 FROM ${table} o WHERE o.id = a.id)
       UNION ALL SELECT ${fields('o')} FROM ${table} o WHERE ${where('o')} AND o.kind IS NOT NULL AND o.id <> ${ROOT}`;
    const children = both((t) => `${t}.parent = ?`);
    const named = both((t) => `${t}.parent = ? AND ${t}.key = ?`);
    return {
      get(id: NodeId): T | undefined {
        const own = get(id);
        if (own !== null) return own.isGone ? undefined : own.node;
        const agreed = agreedGet(id);
        return agreed === undefined ? undefined : part(agreed);
      },
      children: (parent: NodeId): T[] => all(children, parent, parent).map(make),
      named: (parent: NodeId, key: string): T[] => all(named, parent, key, parent, key).map(make),
    };
  };
  const local = side('local', SEEN, localNode, tables.local, localPart);
  const remote = side('remote', SERVER, serverNode, tables.remote, serverPart);

  let nextId = 0;
  let idsEnd = 0;

  /** What a folder looked like is worth nothing once something is known to be in it, or not to be, that was not then. */
  function deletePictures(agreed: LocalNode | undefined, before: LocalNode | undefined, node: LocalNode | null): void {
    for (const parent of new Set([agreed?.parent, before?.parent, node?.parent])) {
      if (parent !== undefined) tables.deletePicture(parent);
    }
  }

  const updateSeen =
    'UPDATE agreed SET ino = ?, birth_ms = ?, seen_size = ?, seen_mtime_ms = ?, seen_ctime_ms = ?, seen_mode = ?, racy = ? WHERE id = ?';
  function setLocal(id: NodeId, node: LocalNode | null): void {
    const agreed = agreedGet(id);
    deletePictures(agreed, tables.local.get(id)?.node, node);
    if (node === null) {
      if (agreed === undefined) tables.local.delete(id);
      else tables.local.put(id, { node: localPart(agreed), isGone: true });
    } else if (agreed !== undefined && sameNode(node, agreed) && sameAttributes(node, agreed)) {
      tables.local.delete(id);
      if (sameSeen(node.seen, agreed.seen)) return;
      run(updateSeen, ...seenValues(node.seen), id);
      tables.agreed.remember(id, { ...agreed, seen: node.seen });
    } else tables.local.put(id, { node: localPart({ ...node, id }), isGone: false });
  }

  function setRemote(id: NodeId, node: ServerNode | null): void {
    const agreed = agreedGet(id);
    if (node === null) {
      if (agreed === undefined) tables.remote.delete(id);
      else tables.remote.put(id, { node: serverPart(agreed), isGone: true });
    } else if (agreed !== undefined && agreed.node === node.node && sameNode(node, agreed) && sameAttributes(node, agreed)) {
      tables.remote.delete(id);
      const { version, size, chunkCount } = node;
      if (version === agreed.version && size === agreed.size && chunkCount === agreed.chunkCount) return;
      run('UPDATE agreed SET version = ?, size = ?, chunk_count = ? WHERE id = ?', version, size, chunkCount, id);
      tables.agreed.remember(id, { ...agreed, version, size, chunkCount });
    } else tables.remote.put(id, { node: serverPart({ ...node, id }), isGone: false });
  }

  const goneBelow = (tree: { get(id: NodeId): TreeNode | undefined; children(id: NodeId): TreeNode[] }, set: (id: NodeId) => void) => {
    const remove = (id: NodeId): void => {
      for (const child of tree.children(id)) remove(child.id);
      if (tree.get(id) !== undefined) set(id);
    };
    return remove;
  };
  const setLocalGone = goneBelow(local, (id) => setLocal(id, null));
  const setRemoteGone = goneBelow(remote, (id) => setRemote(id, null));

  function renewed(id: NodeId): void {
    for (const child of remote.children(id)) renewed(child.id);
    const here = local.get(id);
    tables.agreed.delete(id);
    setRemote(id, null);
    setLocal(id, here ?? null);
  }

  function forget(id: NodeId): void {
    for (const table of [tables.agreed, tables.local, tables.remote]) table.delete(id);
    tables.deletePicture(id);
    run('DELETE FROM sent WHERE id = ?', id);
    run('DELETE FROM kept_out WHERE folder = ?', id);
  }

  function agree(id: NodeId): boolean {
    const here = local.get(id);
    const there = remote.get(id);
    if (here === undefined && there === undefined) {
      forget(id);
      return true;
    }
    if (here === undefined || there === undefined || !sameNode(here, there) || !sameAttributes(here, there)) return false;
    settle({ ...there, seen: here.seen });
    return true;
  }

  function settle(node: AgreedNode): void {
    tables.agreed.put(node.id, { ...localPart(node), ...serverPart(node) });
    tables.local.delete(node.id);
    tables.remote.delete(node.id);
    tables.deletePicture(node.parent);
  }

  function transaction<T>(work: () => T): T {
    if (db.isTransaction) return work();
    db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      db.exec('COMMIT');
      return result;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      tables.forget();
      nextId = 0; // a block of ids may have been taken back with it
      idsEnd = 0;
      throw error;
    }
  }

  /** In WAL mode this is a matter of when the log is synced, and the log is a sequence. */
  function observe<T>(work: () => T): T {
    if (db.isTransaction) return work();
    db.exec('PRAGMA synchronous = NORMAL');
    try {
      return transaction(work);
    } finally {
      db.exec('PRAGMA synchronous = FULL');
    }
  }

  const idOfServerNode =
    'SELECT coalesce((SELECT id FROM remote WHERE node = ? AND kind IS NOT NULL), (SELECT id FROM agreed WHERE node = ?), (SELECT id FROM remote WHERE node = ?)) AS id';
  const idsOfContent = 'SELECT id FROM agreed WHERE kind = 0 AND substr(content, 1, 16) = ? AND content = ?';
  const idsOfIdentity =
    'SELECT id FROM agreed WHERE ino = ? AND birth_ms = ? UNION ALL SELECT id FROM local WHERE ino = ? AND birth_ms = ?'; // UNION makes a table each time
  // UNION: whatever a server says, this comes to an end
  const untoldBelow = `WITH RECURSIVE below (id, node) AS (
      SELECT ?, 0
      UNION SELECT a.id, a.node FROM below b JOIN agreed a ON a.parent = b.id WHERE a.id <> ${ROOT} AND NOT EXISTS (SELECT 1 FROM remote o WHERE o.id = a.id)
      UNION SELECT o.id, o.node FROM below b JOIN remote o ON o.parent = b.id WHERE o.kind IS NOT NULL AND o.id <> ${ROOT})
    SELECT id FROM below WHERE node <> 0 AND node NOT IN (SELECT node FROM listed)`;
  const insertSent = `INSERT OR REPLACE INTO sent VALUES (${marks(15)})`;
  const overlaid = (): number => one('SELECT (SELECT count(*) FROM local) + (SELECT count(*) FROM remote) AS n')?.n as number;

  const notes = indexNotes(statements);
  const { setting, setSetting } = notes;

  const hasBelow = (id: NodeId, visit: (id: NodeId) => void): void => {
    const below = new Set([...ancestor.children(id), ...local.children(id), ...remote.children(id)].map((child) => child.id));
    for (const child of below) hasBelow(child, visit);
    visit(id);
  };

  return {
    ...notes,
    setPicture(folder, picture) {
      tables.pictureKept(folder);
      notes.setPicture(folder, picture);
    },
    ancestor,
    local,
    remote,
    transaction,
    observe,
    newId() {
      if (nextId === idsEnd) {
        nextId = Number(setting('next_id') ?? String(ROOT + 1));
        idsEnd = nextId + ID_BLOCK;
        setSetting('next_id', String(idsEnd));
      }
      nextId += 1;
      tables.neverUsed(nextId - 1);
      return nextId - 1;
    },
    planTrees(atMost) {
      const fresh = overlaid() > atMost ? someFresh(statements, atMost) : [];
      if (fresh.length > 0) return partialTrees({ get: (id) => agreedTree(id) }, { local, remote }, fresh);
      const overlay = (table: 'local' | 'remote') =>
        all(`SELECT ${TREE('o')} FROM ${table} o`).map((row) => [row.id as number, row.kind === null ? null : treeNode(row)] as const);
      const differing = all(`SELECT ${TREE('a')} FROM agreed a WHERE id IN (SELECT id FROM local UNION SELECT id FROM remote)`).map(
        treeNode,
      );
      return planTrees({ ...ancestor, get: (id) => agreedTree(id) }, { differing, local: overlay('local'), remote: overlay('remote') });
    },
    changed: () => all(`SELECT id FROM local UNION SELECT id FROM remote ORDER BY id`).map((row) => row.id as number),
    setLocal,
    setRemote,
    setLocalGone: (id) => setLocalGone(id),
    setRemoteGone: (id) => setRemoteGone(id),
    renewed,
    agree,
    settle,
    settleBefore(node) {
      const here = local.get(node.id) ?? null;
      settle(node);
      setLocal(node.id, here);
    },
    sent: () => all(`SELECT ${TREE('s')}, ${SEEN('s')} FROM sent s ORDER BY id`).map(localNode),
    noteSent: (node) => run(insertSent, ...treeValues(node), ...seenValues(node.seen)),
    endSent: (id) => run('DELETE FROM sent WHERE id = ?', id),
    disagree(id) {
      const here = local.get(id);
      const there = remote.get(id);
      tables.agreed.delete(id);
      setLocal(id, here ?? null);
      setRemote(id, there ?? null);
    },
    adopt(id, localId) {
      const node = local.get(localId);
      if (node === undefined) return;
      for (const folder of [node.parent, localId]) tables.deletePicture(folder);
      for (const child of local.children(localId)) setLocal(child.id, { ...child, parent: id });
      run('UPDATE sent SET parent = ? WHERE parent = ?', id, localId);
      setLocal(localId, null);
      setLocal(id, { ...node, id });
      agree(id);
    },
    setRoot(node) {
      const seen: SeenStat = { ino: 0, birthMs: 0, size: 0, mtimeMs: 0, ctimeMs: 0, mode: 0o755, racy: false };
      const root: TreeNode = { id: ROOT, parent: ROOT, name: '', kind: 'folder', content: '', mode: 0o755, mtimeUs: 0 };
      tables.agreed.put(ROOT, { ...root, seen, node, version: 0, size: 0, chunkCount: 0 });
    },
    forgetRoot: () => tables.agreed.delete(ROOT),
    byServerNode(node) {
      return (one(idOfServerNode, node, node, node)?.id ?? undefined) as NodeId | undefined;
    },
    byIdentity: (ino, birthMs) =>
      [...new Set(all(idsOfIdentity, ino, birthMs, ino, birthMs).map((row) => row.id as number))].sort((a, b) => a - b),
    hasContent: (content) => one(`${idsOfContent} LIMIT 1`, content.slice(0, 16), content) !== undefined,
    withContent: (content) => all(`${idsOfContent} LIMIT ${ALIKE_MAX}`, content.slice(0, 16), content).map((row) => row.id as number),
    agreedFiles: () => one(`SELECT count(*) AS n FROM agreed WHERE kind <> 1`)?.n as number,
    hasAgreedFiles: (count) => one('SELECT count(*) AS n FROM (SELECT 1 FROM agreed WHERE kind <> 1 LIMIT ?)', count)?.n === count,
    hasAgreed: (count) => one('SELECT count(*) AS n FROM (SELECT 1 FROM agreed LIMIT ?)', count)?.n === count,
    agreedCount: () => one(`SELECT count(*) AS n FROM agreed WHERE id <> ${ROOT}`)?.n as number,
    forgetAgreement() {
      run(
        `INSERT OR IGNORE INTO local SELECT id, parent, name, key, kind, content, mode, mtime_us, ino, birth_ms, seen_size, seen_mtime_ms, seen_ctime_ms, seen_mode, racy FROM agreed WHERE id <> ${ROOT}`,
      );
      run('DELETE FROM local WHERE kind IS NULL');
      run(`DELETE FROM agreed WHERE id <> ${ROOT}`);
      run('DELETE FROM remote');
      run('DELETE FROM pictures');
      run('DELETE FROM sent');
      tables.forget();
    },
    beginListing: () => run('DELETE FROM listed'),
    listed: (node) => run('INSERT OR IGNORE INTO listed VALUES (?)', node),
    endListing: () => run('DELETE FROM listed'),
    untold: (folder) => (folder === undefined ? [] : all(untoldBelow, folder).map((row) => row.id as number)),
    exclude(id) {
      const parent = (local.get(id) ?? ancestor.get(id))?.parent;
      if (parent !== undefined) tables.deletePicture(parent);
      const there = remote.get(id);
      if (there !== undefined) notes.leaveOut(there.node);
      hasBelow(id, forget);
    },
    differsIn: (folder) =>
      one('SELECT 1 FROM local WHERE parent = ? LIMIT 1', folder) !== undefined ||
      one('SELECT 1 FROM agreed a JOIN local l ON l.id = a.id WHERE a.parent = ? LIMIT 1', folder) !== undefined,
    rest: () => tables.forget(),
    close: () => db.close(),
  };
}
