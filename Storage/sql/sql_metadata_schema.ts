import type { Kysely } from 'kysely';
import type { LinkAction, LinkMode } from '../../Models/links.ts';
import { type EntryKind, MODE, type Role } from '../../Models/operations.ts';
import type { WebhookState } from '../../Models/webhooks.ts';
import type { SqlValue } from '../bulk.ts';
import type { ChangeKind } from '../metadata.ts';
import type { InvitationState } from '../sharing.ts';

/** The tables of migrations/metadata; units and meanings stand there. */
export type MetadataSchema = {
  settings: { name: string; value: string };
  counters: { name: string; next: number };
  spaces: {
    id: number;
    root: number;
    head: number;
    owner_id: string;
    owner_name: string;
    home_of: string | null;
    deleted_at_ms: number | null;
  };
  members: { space: number; user_id: string; user_name: string; role: number; granted: number | null; joined_seq: number };
  invitations: {
    id: string;
    space: number;
    from_id: string;
    from_name: string;
    to_id: string;
    to_name: string;
    folder_name: string;
    role: number;
    state: Exclude<InvitationState, 'expired'>;
    message: string | null;
    created_at_ms: number;
    expires_at_ms: number | null;
    answered_at_ms: number | null;
  };
  nodes: {
    id: number;
    space: number;
    parent: number | null;
    name: string;
    key: string;
    kind: number;
    version: number;
    size: number;
    mtime_us: number;
    digest: Buffer | null;
    mode: number;
    chunk_count: number;
    target: string | null;
    mount: number | null;
    deleted_seq: number | null;
  };
  journal: {
    space: number;
    seq: number;
    kind: number;
    node: number;
    path: string;
    from_path: string | null;
    size: number;
    mtime_us: number;
    digest: Buffer | null;
    mode: number;
    target: string | null;
    manifest: Buffer | null;
    commit_id: number;
    op: number | null;
    details: string | null;
    parent: number | null;
    prev: number | null;
    thinned_at_ms: number | null;
  };
  known_devices: { user_id: string; device: string; first_seen_ms: number };
  webhooks: {
    id: string;
    user_id: string;
    user_name: string;
    url: string;
    kinds: string | null;
    secret: string;
    state: WebhookState;
    cursor: string;
    created_at_ms: number;
    due_at_ms: number;
    failures: number;
    failing_since_ms: number | null;
    reason: string | null;
  };
  event_marks: { user_id: string; device: string; cursor: string; marked_at_ms: number };
  commits: {
    id: number;
    space: number;
    first_seq: number;
    last_seq: number;
    stream: Buffer | null;
    user_id: string;
    user_name: string;
    device: string;
    at_ms: number;
    reason: string | null;
  };
  pins: { space: number; seq: number; user_name: string; at_ms: number };
  thinning: { space: number; daily_seq: number; weekly_seq: number };
  sync_states: { user_id: string; state: string; counter: number; shown_at_ms: number };
  limits: {
    user_id: string;
    quota: number | null;
    file_size: number | null;
    allowed: string | null;
    refused: string | null;
  };
  space_usage: { space: number; seq: number; bytes: number };
  quota_warnings: { user_id: string; percent: number };
  publications: {
    id: string;
    user_id: string;
    user_name: string;
    device: string;
    name: string;
    audience: 'everyone' | 'users' | 'space';
    space: number | null;
    made_at_ms: number;
  };
  publication_users: { publication: string; user_id: string; user_name: string };
  published_files: { publication: string; path: string; size: number; digest: Buffer; announced_at_ms: number };
  fetches: {
    id: string;
    owner_id: string;
    name: string;
    size: number;
    digest: Buffer;
    user_id: string;
    user_name: string;
    device: string;
    start: number;
    length: number;
    sent: number | null;
    at_ms: number;
  };
  sync_reports: {
    user_id: string;
    state: string;
    device: string;
    mark: string;
    root: number;
    cursor: string;
    missing: string | null;
    waiting: number;
    problems: number;
    held: number;
    at_ms: number;
  };
  name_marks: { space: number; seq: number };
  links: {
    id: string;
    token_hash: Buffer;
    maker_id: string;
    maker_name: string;
    node: number;
    mode: LinkMode;
    password: string | null;
    created_at_ms: number;
    expires_at_ms: number | null;
    revoked_at_ms: number | null;
    uses_max: number | null;
    uses: number;
    log_head: number;
  };
  link_accesses: {
    link: string;
    seq: number;
    action: LinkAction;
    address: string;
    path: string;
    content: string | null;
    first_at_ms: number;
    last_at_ms: number;
    requests: number;
    bytes: number;
  };
  packs: { id: number; name: string };
  chunks: { digest: Buffer; space: number; pack: number; start: number; length: number };
};

/** For reading, or inside a transaction. */
export type Rows = Kysely<MetadataSchema>;

export const KIND = { file: 0, folder: 1, symlink: 2, mount: 3 } as const;
/** By stored kind. A mount shows as the folder it leads to. */
export const ENTRY_KINDS: readonly EntryKind[] = ['file', 'folder', 'symlink', 'folder'];

/** What a notice is about; ids begin above it. */
export const NO_NODE = 0;

export const ROLES: readonly Role[] = ['viewer', 'editor', 'owner'];
export const EDITOR = 1;
export const OWNER = 2;

/** By stored kind: a new one goes to the end. */
export const JOURNAL_KINDS = [
  'put',
  'symlink',
  'mkdir',
  'move',
  'copy',
  'delete',
  'share',
  'join',
  'leave',
  'import',
  'attributes',
  'restore',
  'invited',
  'role',
  'quota',
  'held',
  'device',
  'members',
  'webhook',
  'answered',
  'link',
] as const satisfies readonly ChangeKind[];

/** A living row of `nodes`. Inside a commit it is also the state that later operations of the batch see. */
export type Node = {
  readonly id: number;
  readonly space: number;
  parent: number | null;
  name: string;
  key: string;
  kind: number;
  version: number;
  size: number;
  mtimeUs: number;
  digest: Buffer | null;
  mode: number;
  chunkCount: number;
  target: string | null;
  readonly mount: number | null;
};

/** The columns of `nodes n` in the names of Node. */
export const NODE_COLUMNS = `n.id, n.space, n.parent, n.name, n.key, n.kind, n.version, n.size, n.mtime_us AS "mtimeUs", n.digest,
  n.mode, n.chunk_count AS "chunkCount", n.target, n.mount`;

export const NODE_INSERT_COLUMNS = [
  'id',
  'space',
  'parent',
  'name',
  'key',
  'kind',
  'version',
  'size',
  'mtime_us',
  'digest',
  'mode',
  'chunk_count',
  'target',
  'mount',
  'deleted_seq',
] as const satisfies readonly (keyof MetadataSchema['nodes'])[];

export function nodeValues(node: Node, deletedSeq: number | null): SqlValue[] {
  return [
    node.id,
    node.space,
    node.parent,
    node.name,
    node.key,
    node.kind,
    node.version,
    node.size,
    node.mtimeUs,
    node.digest,
    node.mode,
    node.chunkCount,
    node.target,
    node.mount,
    deletedSeq,
  ];
}

/** An empty folder, or with `mount` a mount of that space; its version is still to be set. */
export function folderNode(
  place: Pick<Node, 'id' | 'space' | 'parent' | 'name' | 'key'>,
  { nowMs, mount = null }: { nowMs: number; mount?: number | null },
): Node {
  const kind = mount === null ? KIND.folder : KIND.mount;
  const { id, space, parent, name, key } = place;
  const nothing = { version: 0, size: 0, mtimeUs: nowMs * 1000, digest: null, mode: MODE.folder, chunkCount: 0, target: null };
  return { id, space, parent, name, key, kind, ...nothing, mount };
}
