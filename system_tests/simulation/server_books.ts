import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { AgreedNode } from '../../Client/sync/sync_index.ts';
import { CHUNK_FRAME_HEADER_BYTES } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import type { Operation, OperationResult } from '../../Models/operations.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { openStoredFrame, sha256 } from '../../Storage/verified_chunk.ts';
import { type MemoryPacks, readPack } from './memory_chunk_store.ts';

const CHUNK_ROW_BYTES = 36; // of a manifest: digest and length

/**
 * The server's rows, read beside the server: what must hold of them whoever asks, checked at each answer and whole when all is quiet.
 * What is wrong is kept until somebody asks, so that it is not taken for a failure of a request.
 */
export class ServerBooks {
  readonly #database: DatabaseSync;
  readonly #packs: MemoryPacks;
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  readonly #wrong: string[] = [];
  readonly #acked = new Map<string, number>(); // by user: the highest journal number that was answered

  constructor(file: string, packs: MemoryPacks) {
    this.#database = new DatabaseSync(file, { readOnly: true });
    this.#packs = packs;
  }

  close(): void {
    this.#database.close();
  }

  /** What is answered is looked up in the journal before it goes out. */
  watching(metadata: Metadata): Metadata {
    const commit: Metadata['commit'] = async (principal, stream, chunks, operations) => {
      const results = await metadata.commit(principal, stream, chunks, operations);
      for (const [at, result] of results.entries()) this.#checkAnswer(principal, operations[at], result);
      return results;
    };
    return new Proxy(metadata, {
      get(target, name) {
        if (name === 'commit') return commit;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #checkAnswer({ userId }: Principal, operation: Operation | undefined, result: OperationResult): void {
    if (result.status === 'refused' || operation === undefined) return;
    const { nodeId, version } = result;
    const about = `${JSON.stringify(operation, briefly)} was answered with node ${nodeId}, version ${version}`;
    const space = this.#spaceOf(userId);
    const root = this.#one('SELECT root FROM spaces WHERE id = ?', space)?.root;
    const row = this.#one('SELECT node FROM journal WHERE space = ? AND seq = ?', space, version);
    if (row?.node !== nodeId && nodeId !== root) this.#wrong.push(`${about}, which is not in the journal`);
    this.#acked.set(userId, Math.max(version, this.#acked.get(userId) ?? 0));
    if (result.status !== 'done' || !('base' in operation) || operation.base === 'any') return;
    const before = this.#one('SELECT max(seq) AS seq FROM journal WHERE space = ? AND node = ? AND seq < ?', space, nodeId, version)?.seq;
    if ((before ?? 'absent') !== operation.base) this.#wrong.push(`${about}, and what was there before was ${before ?? 'nothing'}`);
  }

  /** Cheap: what was answered is still there, and no number is missing. @returns what is wrong */
  glance(userId: string): string | null {
    const [wrong] = this.#wrong;
    if (wrong !== undefined) return wrong;
    const space = this.#spaceOf(userId);
    const journal = this.#one('SELECT count(*) AS rows, coalesce(max(seq), 0) AS last FROM journal WHERE space = ?', space);
    const head = this.#one('SELECT head FROM spaces WHERE id = ?', space)?.head;
    if (journal?.rows !== journal?.last || journal?.last !== head)
      return `the journal has ${journal?.rows} rows, the last is ${journal?.last}, and its head is said to be ${head}`;
    const acked = this.#acked.get(userId) ?? 0;
    return Number(head) < acked ? `version ${acked} was answered, and the journal ends with ${head}` : null;
  }

  /** An older database is there again: what was answered since is gone, as was asked for. */
  restored(): void {
    this.#acked.clear();
  }

  /** All that must hold of a user's space. @returns what is wrong */
  audit(userId: string): string | null {
    const space = this.#spaceOf(userId);
    return (
      this.glance(userId) ??
      this.#auditCommits(space) ??
      this.#first(
        'a node whose version is not its last row of the journal',
        'SELECT n.id, n.name, n.version FROM nodes n WHERE n.space = ? AND n.version <> (SELECT max(seq) FROM journal j WHERE j.space = n.space AND j.node = n.id)',
        space,
      ) ??
      this.#first(
        'a node in what is no folder of the space',
        'SELECT n.id, n.name FROM nodes n LEFT JOIN nodes p ON p.id = n.parent WHERE n.space = ? AND n.parent IS NOT NULL AND (p.id IS NULL OR p.kind <> 1 OR p.space <> n.space)',
        space,
      ) ??
      this.#first(
        'folders that are in each other',
        `WITH RECURSIVE below (id) AS (SELECT root FROM spaces WHERE id = ?1 UNION SELECT n.id FROM nodes n JOIN below b ON n.parent = b.id)
         SELECT id, name FROM nodes WHERE space = ?1 AND id NOT IN (SELECT id FROM below)`,
        space,
      ) ??
      this.#auditContents(space)
    );
  }

  /** What a device says that both sides have is what the journal says of that version. @returns what is wrong */
  versionProblem(userId: string, { node, version, kind, content, size }: AgreedNode): string | null {
    const row = this.#one('SELECT node, digest, target, size FROM journal WHERE space = ? AND seq = ?', this.#spaceOf(userId), version);
    if (row?.node !== node) return `node ${node} never had version ${version}`;
    if (kind === 'symlink' && row.target !== content) return `version ${version} leads to ${row.target} instead of ${content}`;
    const same = kind !== 'file' || (row.size === size && bytesOf(row.digest).toString('hex') === content);
    return same ? null : `version ${version} is another content than ${content}`;
  }

  /** Each row of the journal belongs to one commit, and commits follow one another. */
  #auditCommits(space: number): string | null {
    let next = 1;
    for (const { id, first_seq: first, last_seq: last } of this.#all('SELECT * FROM commits WHERE space = ? ORDER BY first_seq', space)) {
      if (first !== next) return `commit ${id} begins with ${first} instead of ${next}`;
      next = Number(last) + 1;
    }
    const head = this.#one('SELECT head FROM spaces WHERE id = ?', space)?.head;
    if (next - 1 !== head) return `commits end with ${next - 1}, the journal with ${head}`;
    return this.#first(
      'a row of the journal outside of its commit',
      'SELECT j.seq, j.commit_id FROM journal j LEFT JOIN commits c ON c.id = j.commit_id WHERE j.space = ? AND (c.id IS NULL OR j.seq NOT BETWEEN c.first_seq AND c.last_seq)',
      space,
    );
  }

  /** Every version that ever was can be read: its chunks are known to the space, and their bytes are those of their digests. */
  #auditContents(space: number): string | null {
    const whole = new Set<string>();
    const rows = this.#all(
      'SELECT seq, path, size, digest, manifest FROM journal WHERE space = ? AND digest IS NOT NULL AND target IS NULL AND size > 0',
      space,
    );
    for (const { seq, path, size, digest, manifest } of rows) {
      const chunks = manifest === null ? [{ digest: bytesOf(digest), length: Number(size) }] : chunksOf(bytesOf(manifest));
      const about = `version ${seq} of ${path}`;
      if (chunks.reduce((sum, { length }) => sum + length, 0) !== size) return `${about} is not as long as its chunks`;
      if (!contentId(chunks, sha256).equals(bytesOf(digest))) return `${about} is not what its chunks are`;
      for (const chunk of chunks) {
        const key = chunk.digest.toString('hex');
        if (!whole.has(key)) {
          const wrong = this.#chunkProblem(space, chunk);
          if (wrong !== null) return `${about}: chunk ${key.slice(0, 12)} ${wrong}`;
        }
        whole.add(key);
      }
    }
    return null;
  }

  #chunkProblem(space: number, { digest, length }: { digest: Buffer; length: number }): string | null {
    const query = 'SELECT p.name, c.start, c.length FROM chunks c JOIN packs p ON p.id = c.pack WHERE c.space = ? AND c.digest = ?';
    const row = this.#one(query, space, digest);
    if (row === undefined) return 'is not known';
    if (row.length !== length) return `has ${row.length} bytes instead of ${length}`;
    try {
      const location = { pack: String(row.name), offset: Number(row.start), length: CHUNK_FRAME_HEADER_BYTES + length };
      openStoredFrame(readPack(this.#packs, location), digest);
      return null;
    } catch (error) {
      return String(error);
    }
  }

  #spaceOf(userId: string): number {
    const row = this.#one('SELECT id FROM spaces WHERE home_of = ?', userId);
    if (row === undefined) throw new Error('the user has no space');
    return Number(row.id);
  }

  #first(what: string, sql: string, space: number): string | null {
    const row = this.#one(`${sql} LIMIT 1`, space);
    return row === undefined ? null : `${what}: ${JSON.stringify(row)}`;
  }

  #one(sql: string, ...values: SQLInputValue[]) {
    return this.#statement(sql).get(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]) {
    return this.#statement(sql).all(...values);
  }

  #statement(sql: string) {
    const known = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }
}

function briefly(_: string, value: unknown): unknown {
  return value instanceof Uint8Array || Array.isArray(value) ? undefined : value;
}

function bytesOf(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('not bytes');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function chunksOf(manifest: Buffer): { digest: Buffer; length: number }[] {
  return Array.from({ length: manifest.length / CHUNK_ROW_BYTES }, (_, at) => {
    const row = manifest.subarray(at * CHUNK_ROW_BYTES, (at + 1) * CHUNK_ROW_BYTES);
    return { digest: row.subarray(0, 32), length: row.readUInt32BE(32) };
  });
}
