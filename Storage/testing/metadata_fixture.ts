import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { contentId } from '../../Models/content_id.ts';
import type { Base, Operation, OperationResult } from '../../Models/operations.ts';
import type { Change, Metadata, Principal, StoredChunk, StreamPosition } from '../metadata.ts';

/** An empty store; `open` gives another instance on the same data each time, as another server would have. */
export type MetadataPlace = {
  open(options?: { now?: () => number }): Promise<Metadata>;
  /** Another place that begins with what is in this one, of which nothing may be open. */
  copy(): Promise<MetadataPlace>;
};
export type OpenPlace = (t: TestContext) => Promise<MetadataPlace>;

export function person(name: string): Principal {
  const id = createHash('sha256').update(name).digest('hex').slice(0, 32);
  return { userId: id, userName: name, deviceId: id.split('').reverse().join('') };
}
export const alice = person('alice');
export const bob = person('bob');
export const carol = person('carol');

export const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

let offset = 0;
/** A chunk of this content as a chunk store would have placed it. */
export function chunkOf(text: string | Buffer): StoredChunk & { ref: { digest: Buffer; length: number } } {
  const digest = sha256(text);
  const length = Buffer.byteLength(text);
  offset += length;
  return { digest, location: { pack: '0123456789abcdef'.repeat(2), offset, length }, ref: { digest, length } };
}

export type Content = { readonly chunks: ReturnType<typeof chunkOf>[]; readonly digest: Buffer; readonly size: number };

/** A file whose chunks have these contents. */
export function contentOf(...parts: (string | Buffer)[]): Content {
  const chunks = parts.map(chunkOf);
  const refs = chunks.map((chunk) => chunk.ref);
  return { chunks, digest: contentId(refs, sha256), size: refs.reduce((sum, ref) => sum + ref.length, 0) };
}

type PutOptions = { base?: Base; mtimeUs?: number; mode?: number };

export function put(path: string, content: Content, options: PutOptions = {}): Operation {
  const { base = 'any', mtimeUs = 1_700_000_000_000_000, mode = 0o644 } = options;
  const chunks = content.chunks.map((chunk) => chunk.ref);
  return { kind: 'put', path, size: content.size, mtimeUs, mode, base, digest: content.digest, chunks };
}

export const mkdir = (path: string, existingOk = false): Operation => ({ kind: 'mkdir', path, existingOk, mode: null, mtimeUs: null });
export const move = (from: string, to: string, base: Base = 'any'): Operation => ({ kind: 'move', from, to, base });
export const copy = (from: string, to: string): Operation => ({ kind: 'copy', from, to });
export const remove = (path: string, base: Base = 'any'): Operation => ({ kind: 'delete', path, base, onlyEmpty: false });
export const removeEmpty = (path: string, base: Base = 'any'): Operation => ({ kind: 'delete', path, base, onlyEmpty: true });
export const symlink = (path: string, target: string, base: Base = 'any'): Operation => ({
  kind: 'symlink',
  path,
  target,
  mtimeUs: 5,
  base,
});

export function newStream(): StreamPosition {
  return { id: randomBytes(16), firstOperation: 0, resumed: false };
}

/** Commits operations with the chunks that `contents` are made of. */
export function commit(
  store: Metadata,
  who: Principal,
  operations: readonly Operation[],
  contents: readonly Content[] = [],
): Promise<OperationResult[]> {
  return store.commit(
    who,
    newStream(),
    contents.flatMap((content) => content.chunks),
    operations,
  );
}

/** The same, and each must be done or unchanged. */
export async function done(
  store: Metadata,
  who: Principal,
  operations: readonly Operation[],
  contents: readonly Content[] = [],
): Promise<{ nodeId: number; version: number }[]> {
  const results = await commit(store, who, operations, contents);
  return results.map((result, i) => {
    if (result.status === 'refused') assert.fail(`${JSON.stringify(operations[i])}: ${result.code} ${result.message}`);
    return result;
  });
}

/** What became of each operation, in one word. */
export function words(results: readonly OperationResult[]): string[] {
  return results.map((result) => (result.status === 'refused' ? result.code : result.status));
}

export async function walkedFolders(store: Metadata, who: Principal, path = '/'): Promise<string[]> {
  const folders: string[] = [];
  for await (const page of store.walkFolders(who, path)) folders.push(...page);
  return folders;
}

/** The node at a path. */
export async function nodeAt(store: Metadata, who: Principal, path: string): Promise<number> {
  const [entry] = await store.stat(who, [path]);
  assert.ok(entry, `nothing at ${path}`);
  return entry.nodeId;
}

/** Everything below a path as lines: path, kind, and content id or target. */
export async function listing(store: Metadata, who: Principal, path = '/'): Promise<string[]> {
  const lines: string[] = [];
  const folders = await walkedFolders(store, who, path);
  for await (const page of store.readFolders(who, folders)) {
    for (const entry of page.entries) {
      const own = page.path === '/' ? `/${entry.name}` : `${page.path}/${entry.name}`;
      const what = entry.target ?? (entry.digest === null ? '' : Buffer.from(entry.digest).toString('hex').slice(0, 8));
      lines.push(`${own} ${entry.kind} ${what}`.trim());
    }
  }
  return lines.sort();
}

/** The whole change feed from a cursor on, in pages. */
export async function allChanges(
  store: Metadata,
  who: Principal,
  after: string | null = null,
  limit = 100,
): Promise<{ changes: Change[]; cursor: string }> {
  const changes: Change[] = [];
  for (let cursor = after; ; ) {
    const page = await store.changes(who, { after: cursor, limit });
    assert.ok(page.changes.length <= limit);
    changes.push(...page.changes);
    cursor = page.cursor;
    if (!page.more) return { changes, cursor };
  }
}

/** Shares alice's folder with another user, who accepts. */
export async function share(
  store: Metadata,
  path: string,
  who: Principal,
  role: 'viewer' | 'editor' | 'owner' = 'editor',
): Promise<string> {
  const { id } = await store.invite(alice, { path, userId: who.userId, userName: who.userName, role, message: null });
  return (await store.accept(who, id)).path;
}
