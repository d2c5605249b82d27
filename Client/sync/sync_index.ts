import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { foldName } from '../../Models/names.ts';
import { type NodeId, type NodeKind, ROOT, type TreeNode } from './core/tree.ts';
import type { DiskStat } from './disk.ts';
import type { Intent } from './local_tree.ts';
import { type PlanTrees, planTrees } from './plan_trees.ts';
import type { Reason } from './reasons.ts';

/** The local file in the state in which its content was read or written: the same numbers mean the same content. */
export type SeenStat = Pick<DiskStat, 'ino' | 'birthMs' | 'size' | 'mtimeMs' | 'ctimeMs' | 'mode'> & {
  /** Changed so shortly before it was looked at that a later change may have left the same numbers. */
  readonly racy: boolean;
};
export type LocalNode = TreeNode & { readonly seen: SeenStat };
export type ServerNode = TreeNode & {
  readonly node: number; // on the server
  readonly version: number;
  readonly size: number; // bytes
  readonly chunkCount: number;
};
export type AgreedNode = LocalNode & ServerNode;

/** Why an entry is not in sync. */
export type Problem = {
  readonly path: string; // from the root, as it is on this disk; names that are not UTF-8 with replacement characters
  readonly id: NodeId | null;
  readonly reason: Reason;
  readonly detail: string;
  readonly sinceMs: number;
  readonly retryAtMs: number; // not to be tried before; 0: whenever it is looked at
};
export type ConflictRow = {
  readonly copy: NodeId;
  readonly kind: string;
  readonly path: string; // of what is disputed
  readonly copyPath: string;
  readonly baseVersion: number | null; // what both came from, on the server
  readonly atMs: number;
};

/** `shown`: names and numbers as scan.ts lays them out; `folders`: the nodes of the folders in it, in the order in which they are shown. */
export type Picture = { readonly shown: Uint8Array; readonly folders: readonly NodeId[] };

type Side<T> = { get(id: NodeId): T | undefined; children(parent: NodeId): T[]; named(parent: NodeId, key: string): T[] };

/**
 * What the engine knows, on disk: the tree that both sides last agreed on, and the local and the remote one where they differ from it.
 * Every method is one step; `transaction` makes several one. What is in it was seen or achieved: it may lag behind the disk and the server, never lead them.
 */
export type SyncIndex = {
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
  /** The three trees as a plan looks at them; good for as long as nothing is written. */
  planTrees(): PlanTrees;

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
  /** Both sides have exactly this now. */
  settle(node: AgreedNode): void;
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
  agreedFiles(): number;
  hasAgreedFiles(count: number): boolean;
  agreedCount(): number;
  /** Both sides begin anew: what is here counts as seen and not as agreed, so that nothing is taken for deleted. */
  forgetAgreement(): void;
  /** The remote side is about to be listed whole: what is not set until `endListing` is gone. */
  beginListing(): void;
  listed(node: number): void;
  endListing(): void;
  /** Takes a node and all below it out of the index on both sides: it is not synced any more, and nothing is deleted. */
  exclude(id: NodeId): void;

  /** Something directly in this folder differs locally from what was agreed. */
  differsIn(folder: NodeId): boolean;
  picture(folder: NodeId): Picture | undefined;
  setPicture(folder: NodeId, picture: Picture): void;
  forgetPictures(): void;

  setting(name: string): string | undefined;
  setSetting(name: string, value: string | null): void;
  intents(): Intent[];
  addIntents(intents: readonly Intent[]): void;
  endIntents(ids: readonly number[]): void;
  problems(): Problem[];
  setProblem(problem: Problem): void;
  clearProblem(path: string): void;
  conflicts(): ConflictRow[];
  addConflict(conflict: ConflictRow): void;
  endConflict(copy: NodeId): void;
  close(): void;
};

const SCHEMA_VERSION = 1;
const TREE_COLUMNS =
  'parent INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, kind INTEGER, content TEXT, mode INTEGER NOT NULL, mtime_us INTEGER NOT NULL';
const SEEN_COLUMNS =
  'ino INTEGER NOT NULL, birth_ms REAL NOT NULL, seen_size INTEGER NOT NULL, seen_mtime_ms REAL NOT NULL, seen_ctime_ms REAL NOT NULL, seen_mode INTEGER NOT NULL, racy INTEGER NOT NULL';
const SERVER_COLUMNS = 'node INTEGER NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL, chunk_count INTEGER NOT NULL';

/** kind: 0 file, 1 folder, 2 symlink; in the overlays null for what is gone. key: folded name. _us, _ms: since 1970. size: bytes. */
const SCHEMA = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE agreed (id INTEGER PRIMARY KEY, ${TREE_COLUMNS}, ${SEEN_COLUMNS}, ${SERVER_COLUMNS}) STRICT;
CREATE INDEX agreed_child ON agreed (parent, key);
CREATE UNIQUE INDEX agreed_node ON agreed (node);
CREATE INDEX agreed_identity ON agreed (ino);
CREATE INDEX agreed_content ON agreed (substr(content, 1, 16)) WHERE kind = 0;
CREATE TABLE local (id INTEGER PRIMARY KEY, ${TREE_COLUMNS}, ${SEEN_COLUMNS}) STRICT;
CREATE INDEX local_child ON local (parent, key);
CREATE INDEX local_identity ON local (ino);
CREATE TABLE remote (id INTEGER PRIMARY KEY, ${TREE_COLUMNS}, ${SERVER_COLUMNS}) STRICT;
CREATE INDEX remote_child ON remote (parent, key);
CREATE INDEX remote_node ON remote (node);
CREATE TABLE intents (id INTEGER PRIMARY KEY, intent TEXT NOT NULL) STRICT; -- JSON
CREATE TABLE problems (path TEXT PRIMARY KEY, id INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL, since_ms INTEGER NOT NULL, retry_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE conflicts (copy INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL, copy_path TEXT NOT NULL, base_version INTEGER, at_ms INTEGER NOT NULL) STRICT;
-- What the disk showed of a folder when all directly in it was in sync: as long as it shows the same, nothing in it needs to be looked up.
CREATE TABLE pictures (folder INTEGER PRIMARY KEY, picture BLOB NOT NULL, folders BLOB NOT NULL) STRICT;
CREATE TABLE listed (node INTEGER PRIMARY KEY) STRICT; -- while the remote side is listed whole
`;

const KINDS = ['file', 'folder', 'symlink'] as const satisfies readonly NodeKind[];
const ID_BLOCK = 1024; // ids are taken from the settings in blocks; those of a block that was not used up are lost

type Row = Record<string, null | number | string>;

const TREE = (t: string): string => `${t}.id, ${t}.parent, ${t}.name, ${t}.kind, ${t}.content, ${t}.mode, ${t}.mtime_us`;
const SEEN = (t: string): string =>
  `${t}.ino, ${t}.birth_ms, ${t}.seen_size, ${t}.seen_mtime_ms, ${t}.seen_ctime_ms, ${t}.seen_mode, ${t}.racy`;
const SERVER = (t: string): string => `${t}.node, ${t}.version, ${t}.size, ${t}.chunk_count`;

function treeNode(row: Row): TreeNode {
  return {
    id: row.id as number,
    parent: row.parent as number,
    name: row.name as string,
    kind: KINDS[row.kind as number] as NodeKind,
    content: row.content as string | null,
    mode: row.mode as number,
    mtimeUs: row.mtime_us as number,
  };
}

function seenOf(row: Row): SeenStat {
  return {
    ino: row.ino as number,
    birthMs: row.birth_ms as number,
    size: row.seen_size as number,
    mtimeMs: row.seen_mtime_ms as number,
    ctimeMs: row.seen_ctime_ms as number,
    mode: row.seen_mode as number,
    racy: row.racy === 1,
  };
}

function localNode(row: Row): LocalNode {
  return { ...treeNode(row), seen: seenOf(row) };
}

function serverPart(row: Row): Pick<ServerNode, 'node' | 'version' | 'size' | 'chunkCount'> {
  return {
    node: row.node as number,
    version: row.version as number,
    size: row.size as number,
    chunkCount: row.chunk_count as number,
  };
}

function serverNode(row: Row): ServerNode {
  return { ...treeNode(row), ...serverPart(row) };
}

function agreedNode(row: Row): AgreedNode {
  return { ...treeNode(row), seen: seenOf(row), ...serverPart(row) };
}

const treeValues = (node: TreeNode): (null | number | string)[] => [
  node.id,
  node.parent,
  node.name,
  foldName(node.name),
  KINDS.indexOf(node.kind),
  node.content,
  node.mode,
  node.mtimeUs,
];
const seenValues = ({ ino, birthMs, size, mtimeMs, ctimeMs, mode, racy }: SeenStat): number[] => [
  ino,
  birthMs,
  size,
  mtimeMs,
  ctimeMs,
  mode,
  Number(racy),
];
const serverValues = ({ node, version, size, chunkCount }: ServerNode): number[] => [node, version, size, chunkCount];

/** Place, kind and content: what decides whether two sides have the same. */
export function sameNode(one: TreeNode, other: TreeNode): boolean {
  return (
    one.parent === other.parent &&
    one.name === other.name &&
    one.kind === other.kind &&
    one.content !== null &&
    one.content === other.content
  );
}

export function sameAttributes(one: TreeNode, other: TreeNode): boolean {
  return one.kind === 'symlink' || (one.mode === other.mode && one.mtimeUs === other.mtimeUs);
}

function sameSeen(one: SeenStat, other: SeenStat): boolean {
  return (
    one.ino === other.ino &&
    one.birthMs === other.birthMs &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs &&
    one.ctimeMs === other.ctimeMs &&
    one.mode === other.mode &&
    one.racy === other.racy
  );
}

/** @param file path of the database, or `:memory:` */
export function openSyncIndex(file: string): SyncIndex {
  const db = new DatabaseSync(file);
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16384; PRAGMA busy_timeout = 5000',
  );
  const version = db.prepare('PRAGMA user_version').get()?.user_version;
  if (version === 0) db.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
  return createIndex(db);
}

function createIndex(db: DatabaseSync): SyncIndex {
  const statements = new Map<string, StatementSync>();
  const sql = (text: string): StatementSync => {
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = db.prepare(text);
      statements.set(text, statement);
    }
    return statement;
  };
  const all = (text: string, ...values: (null | number | string)[]): Row[] => sql(text).all(...values) as Row[];
  const one = (text: string, ...values: (null | number | string)[]): Row | undefined => sql(text).get(...values) as Row | undefined;
  const run = (text: string, ...values: (null | number | string)[]): void => void sql(text).run(...values);

  const agreedGet = (id: NodeId): AgreedNode | undefined => {
    const row = one('SELECT * FROM agreed WHERE id = ?', id);
    return row === undefined ? undefined : agreedNode(row);
  };
  const agreedTree = (id: NodeId): TreeNode | undefined => {
    const row = one(`SELECT ${TREE('a')} FROM agreed a WHERE id = ?`, id);
    return row === undefined ? undefined : treeNode(row);
  };
  const ancestor = {
    get: agreedGet,
    children: (parent: NodeId) => all(`SELECT ${TREE('a')} FROM agreed a WHERE parent = ? AND id <> ${ROOT}`, parent).map(treeNode),
    named: (parent: NodeId, key: string) =>
      all(`SELECT ${TREE('a')} FROM agreed a WHERE parent = ? AND key = ? AND id <> ${ROOT}`, parent, key).map(treeNode),
  };

  /** A side is its overlay, and where that says nothing what was agreed. */
  const side = <T extends TreeNode>(table: 'local' | 'remote', columns: (t: string) => string, make: (row: Row) => T): Side<T> => {
    const fields = (t: string): string => `${TREE(t)}, ${columns(t)}`;
    const both = (where: (t: string) => string): string =>
      `SELECT ${fields('a')} FROM agreed a WHERE ${where('a')} AND a.id <> ${ROOT} AND NOT EXISTS (SELECT 1 FROM ${table} o WHERE o.id = a.id)
       UNION ALL SELECT ${fields('o')} FROM ${table} o WHERE ${where('o')} AND o.kind IS NOT NULL AND o.id <> ${ROOT}`;
    const ofOverlay = `SELECT ${fields('o')} FROM ${table} o WHERE o.id = ?`;
    const ofAgreed = `SELECT ${fields('a')} FROM agreed a WHERE a.id = ?`;
    const children = both((t) => `${t}.parent = ?`);
    const named = both((t) => `${t}.parent = ? AND ${t}.key = ?`);
    return {
      get(id: NodeId): T | undefined {
        const own = one(ofOverlay, id);
        if (own !== undefined) return own.kind === null ? undefined : make(own);
        const row = one(ofAgreed, id);
        return row === undefined ? undefined : make(row);
      },
      children: (parent: NodeId): T[] => all(children, parent, parent).map(make),
      named: (parent: NodeId, key: string): T[] => all(named, parent, key, parent, key).map(make),
    };
  };
  const local = side('local', SEEN, localNode);
  const remote = side('remote', SERVER, serverNode);

  let nextId = 0;
  let idsEnd = 0;

  const marks = (count: number): string => Array.from({ length: count }, () => '?').join(', ');
  const insertLocal = `INSERT OR REPLACE INTO local VALUES (${marks(15)})`;
  const insertRemote = `INSERT OR REPLACE INTO remote VALUES (${marks(12)})`;
  const insertAgreed = `INSERT OR REPLACE INTO agreed VALUES (${marks(19)})`;

  /** What a folder looked like is worth nothing once something is known to be in it, or not to be, that was not then. */
  function forgetPictures(id: NodeId, agreed: LocalNode | undefined, node: LocalNode | null): void {
    const overlaid = one('SELECT parent FROM local WHERE id = ?', id)?.parent as NodeId | undefined;
    for (const parent of new Set([agreed?.parent, overlaid, node?.parent])) {
      if (parent !== undefined) run('DELETE FROM pictures WHERE folder = ?', parent);
    }
  }

  function setLocal(id: NodeId, node: LocalNode | null): void {
    const agreed = agreedGet(id);
    forgetPictures(id, agreed, node);
    if (node === null) {
      if (agreed === undefined) run('DELETE FROM local WHERE id = ?', id);
      else run(insertLocal, ...treeValues(agreed).with(4, null), ...seenValues(agreed.seen));
    } else if (agreed !== undefined && sameNode(node, agreed) && sameAttributes(node, agreed)) {
      run('DELETE FROM local WHERE id = ?', id);
      if (!sameSeen(node.seen, agreed.seen)) {
        run(
          'UPDATE agreed SET ino = ?, birth_ms = ?, seen_size = ?, seen_mtime_ms = ?, seen_ctime_ms = ?, seen_mode = ?, racy = ? WHERE id = ?',
          ...seenValues(node.seen),
          id,
        );
      }
    } else run(insertLocal, ...treeValues({ ...node, id }), ...seenValues(node.seen));
  }

  function setRemote(id: NodeId, node: ServerNode | null): void {
    const agreed = agreedGet(id);
    if (node === null) {
      if (agreed === undefined) run('DELETE FROM remote WHERE id = ?', id);
      else run(insertRemote, ...treeValues(agreed).with(4, null), ...serverValues(agreed));
    } else if (agreed !== undefined && agreed.node === node.node && sameNode(node, agreed) && sameAttributes(node, agreed)) {
      run('DELETE FROM remote WHERE id = ?', id);
      if (node.version !== agreed.version || node.size !== agreed.size || node.chunkCount !== agreed.chunkCount)
        run('UPDATE agreed SET version = ?, size = ?, chunk_count = ? WHERE id = ?', node.version, node.size, node.chunkCount, id);
    } else run(insertRemote, ...treeValues({ ...node, id }), ...serverValues(node));
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

  function forget(id: NodeId): void {
    run('DELETE FROM agreed WHERE id = ?', id);
    run('DELETE FROM local WHERE id = ?', id);
    run('DELETE FROM remote WHERE id = ?', id);
    run('DELETE FROM pictures WHERE folder = ?', id);
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
    run(insertAgreed, ...treeValues(node), ...seenValues(node.seen), ...serverValues(node));
    run('DELETE FROM local WHERE id = ?', node.id);
    run('DELETE FROM remote WHERE id = ?', node.id);
    run('DELETE FROM pictures WHERE folder = ?', node.parent);
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

  const setting = (name: string): string | undefined => one('SELECT value FROM settings WHERE name = ?', name)?.value as string | undefined;
  const setSetting = (name: string, value: string | null): void => {
    if ((setting(name) ?? null) === value) return; // each write waits for the disk
    if (value === null) run('DELETE FROM settings WHERE name = ?', name);
    else run('INSERT OR REPLACE INTO settings VALUES (?, ?)', name, value);
  };

  const hasBelow = (id: NodeId, visit: (id: NodeId) => void): void => {
    const below = new Set([...ancestor.children(id), ...local.children(id), ...remote.children(id)].map((child) => child.id));
    for (const child of below) hasBelow(child, visit);
    visit(id);
  };

  return {
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
      return nextId - 1;
    },
    planTrees() {
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
    agree,
    settle,
    disagree(id) {
      const here = local.get(id);
      const there = remote.get(id);
      run('DELETE FROM agreed WHERE id = ?', id);
      setLocal(id, here ?? null);
      setRemote(id, there ?? null);
    },
    adopt(id, localId) {
      const node = local.get(localId);
      if (node === undefined) return;
      run('DELETE FROM pictures WHERE folder IN (?, ?)', node.parent, localId);
      for (const child of local.children(localId)) setLocal(child.id, { ...child, parent: id });
      setLocal(localId, null);
      setLocal(id, { ...node, id });
      agree(id);
    },
    setRoot(node) {
      const seen: SeenStat = { ino: 0, birthMs: 0, size: 0, mtimeMs: 0, ctimeMs: 0, mode: 0o755, racy: false };
      const root: TreeNode = { id: ROOT, parent: ROOT, name: '', kind: 'folder', content: '', mode: 0o755, mtimeUs: 0 };
      run(insertAgreed, ...treeValues(root), ...seenValues(seen), node, 0, 0, 0);
    },
    forgetRoot: () => run('DELETE FROM agreed WHERE id = ?', ROOT),
    byServerNode(node) {
      const row =
        one('SELECT id FROM remote WHERE node = ? AND kind IS NOT NULL', node) ?? one('SELECT id FROM agreed WHERE node = ?', node);
      return (row ?? one('SELECT id FROM remote WHERE node = ?', node))?.id as number | undefined;
    },
    byIdentity: (ino, birthMs) =>
      all(
        'SELECT id FROM agreed WHERE ino = ? AND birth_ms = ? UNION SELECT id FROM local WHERE ino = ? AND birth_ms = ?',
        ino,
        birthMs,
        ino,
        birthMs,
      ).map((row) => row.id as number),
    hasContent: (content) =>
      one('SELECT 1 FROM agreed WHERE kind = 0 AND substr(content, 1, 16) = ? AND content = ? LIMIT 1', content.slice(0, 16), content) !==
      undefined,
    agreedFiles: () => one(`SELECT count(*) AS n FROM agreed WHERE kind <> 1`)?.n as number,
    hasAgreedFiles: (count) => all('SELECT 1 FROM agreed WHERE kind <> 1 LIMIT ?', count).length === count,
    agreedCount: () => one(`SELECT count(*) AS n FROM agreed WHERE id <> ${ROOT}`)?.n as number,
    forgetAgreement() {
      run(
        `INSERT OR IGNORE INTO local SELECT id, parent, name, key, kind, content, mode, mtime_us, ino, birth_ms, seen_size, seen_mtime_ms, seen_ctime_ms, seen_mode, racy FROM agreed WHERE id <> ${ROOT}`,
      );
      run('DELETE FROM local WHERE kind IS NULL');
      run(`DELETE FROM agreed WHERE id <> ${ROOT}`);
      run('DELETE FROM remote');
      run('DELETE FROM pictures');
    },
    beginListing: () => run('DELETE FROM listed'),
    listed: (node) => run('INSERT OR IGNORE INTO listed VALUES (?)', node),
    endListing() {
      const gone = all(
        `SELECT id FROM agreed WHERE id <> ${ROOT} AND node NOT IN (SELECT node FROM listed) UNION SELECT id FROM remote WHERE kind IS NOT NULL AND node NOT IN (SELECT node FROM listed)`,
      );
      for (const row of gone) setRemote(row.id as number, null);
      run('DELETE FROM listed');
    },
    exclude(id) {
      const parent = (local.get(id) ?? ancestor.get(id))?.parent;
      if (parent !== undefined) run('DELETE FROM pictures WHERE folder = ?', parent);
      hasBelow(id, forget);
    },
    differsIn: (folder) =>
      one('SELECT 1 FROM local WHERE parent = ? LIMIT 1', folder) !== undefined ||
      one('SELECT 1 FROM agreed a JOIN local l ON l.id = a.id WHERE a.parent = ? LIMIT 1', folder) !== undefined,
    picture(folder) {
      const row = sql('SELECT picture, folders FROM pictures WHERE folder = ?').get(folder);
      if (row === undefined) return undefined;
      const ids = row.folders as Uint8Array;
      return {
        shown: row.picture as Uint8Array,
        folders: [...new Float64Array(ids.buffer.slice(ids.byteOffset, ids.byteOffset + ids.byteLength))],
      };
    },
    setPicture(folder, { shown, folders }) {
      sql('INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)').run(folder, shown, new Uint8Array(Float64Array.from(folders).buffer));
    },
    forgetPictures: () => run('DELETE FROM pictures'),
    setting,
    setSetting,
    intents: () => all('SELECT intent FROM intents ORDER BY id').map((row) => JSON.parse(row.intent as string) as Intent),
    addIntents(intents) {
      for (const intent of intents) run('INSERT INTO intents VALUES (?, ?)', intent.id, JSON.stringify(intent));
    },
    endIntents(ids) {
      for (const id of ids) run('DELETE FROM intents WHERE id = ?', id);
    },
    problems: () =>
      all('SELECT * FROM problems ORDER BY path').map((row) => ({
        path: row.path as string,
        id: row.id as number | null,
        reason: row.reason as Reason,
        detail: row.detail as string,
        sinceMs: row.since_ms as number,
        retryAtMs: row.retry_at_ms as number,
      })),
    setProblem: ({ path, id, reason, detail, sinceMs, retryAtMs }) =>
      run(
        `INSERT INTO problems VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET id = excluded.id, detail = excluded.detail, retry_at_ms = excluded.retry_at_ms,
         since_ms = CASE WHEN reason = excluded.reason THEN since_ms ELSE excluded.since_ms END, reason = excluded.reason`,
        path,
        id,
        reason,
        detail,
        sinceMs,
        retryAtMs,
      ),
    clearProblem: (path) => run('DELETE FROM problems WHERE path = ?', path),
    conflicts: () =>
      all('SELECT * FROM conflicts ORDER BY at_ms, copy').map((row) => ({
        copy: row.copy as number,
        kind: row.kind as string,
        path: row.path as string,
        copyPath: row.copy_path as string,
        baseVersion: row.base_version as number | null,
        atMs: row.at_ms as number,
      })),
    addConflict: ({ copy, kind, path, copyPath, baseVersion, atMs }) =>
      run('INSERT OR REPLACE INTO conflicts VALUES (?, ?, ?, ?, ?, ?)', copy, kind, path, copyPath, baseVersion, atMs),
    endConflict: (copy) => run('DELETE FROM conflicts WHERE copy = ?', copy),
    close: () => db.close(),
  };
}
