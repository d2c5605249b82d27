import { foldName } from '../../../Models/names.ts';
import type { NodeKind, TreeNode } from '../core/tree.ts';
import type { AgreedNode, LocalNode, SeenStat, ServerNode } from './index_nodes.ts';

export const SCHEMA_VERSION = 1;
const TREE_COLUMNS =
  'parent INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, kind INTEGER, content TEXT, mode INTEGER NOT NULL, mtime_us INTEGER NOT NULL';
const SEEN_COLUMNS =
  'ino INTEGER NOT NULL, birth_ms REAL NOT NULL, seen_size INTEGER NOT NULL, seen_mtime_ms REAL NOT NULL, seen_ctime_ms REAL NOT NULL, seen_mode INTEGER NOT NULL, racy INTEGER NOT NULL';
const SERVER_COLUMNS = 'node INTEGER NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL, chunk_count INTEGER NOT NULL';

/** kind: 0 file, 1 folder, 2 symlink; in the overlays null for what is gone. key: folded name. _us, _ms: since 1970. size: bytes. */
export const SCHEMA = `
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
-- What was sent and not answered yet: it may be what the server has, and is then what a person's next change is based on.
CREATE TABLE sent (id INTEGER PRIMARY KEY, ${TREE_COLUMNS}, ${SEEN_COLUMNS}) STRICT;
CREATE TABLE listed (node INTEGER PRIMARY KEY) STRICT; -- while the remote side is listed whole
`;

/** Also made in an index of before: what is left out there is known once the remote side was listed whole. */
export const LATER_SCHEMA = `
CREATE TABLE IF NOT EXISTS left_out (node INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS kept_out (folder INTEGER, name TEXT, source TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (folder, name)) STRICT, WITHOUT ROWID;
`;

const KINDS = ['file', 'folder', 'symlink'] as const satisfies readonly NodeKind[];

export type Row = Record<string, null | number | string>;

export const TREE = (t: string): string => `${t}.id, ${t}.parent, ${t}.name, ${t}.kind, ${t}.content, ${t}.mode, ${t}.mtime_us`;
export const SEEN = (t: string): string =>
  `${t}.ino, ${t}.birth_ms, ${t}.seen_size, ${t}.seen_mtime_ms, ${t}.seen_ctime_ms, ${t}.seen_mode, ${t}.racy`;
export const SERVER = (t: string): string => `${t}.node, ${t}.version, ${t}.size, ${t}.chunk_count`;

export function treeNode(row: Row): TreeNode {
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

export function localNode(row: Row): LocalNode {
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

export function serverNode(row: Row): ServerNode {
  return { ...treeNode(row), ...serverPart(row) };
}

export function agreedNode(row: Row): AgreedNode {
  return { ...treeNode(row), seen: seenOf(row), ...serverPart(row) };
}

export const treeValues = (node: TreeNode): (null | number | string)[] => [
  node.id,
  node.parent,
  node.name,
  foldName(node.name),
  KINDS.indexOf(node.kind),
  node.content,
  node.mode,
  node.mtimeUs,
];
export const seenValues = ({ ino, birthMs, size, mtimeMs, ctimeMs, mode, racy }: SeenStat): number[] => [
  ino,
  birthMs,
  size,
  mtimeMs,
  ctimeMs,
  mode,
  Number(racy),
];
export const serverValues = ({ node, version, size, chunkCount }: ServerNode): number[] => [node, version, size, chunkCount];
