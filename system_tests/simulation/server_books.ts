import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from 'node:sqlite';
import type { AgreedNode } from '../../Client/sync/index/sync_index.ts';
import { CHUNK_FRAME_HEADER_BYTES } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import type { Operation, OperationResult } from '../../Models/operations.ts';
import type { Metadata } from '../../Storage/metadata.ts';
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
  #glanced = '';
  #answers = 0;
  readonly #acked = new Map<number, number>(); // by space: the highest journal number that was answered

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
      const before = this.#spacesOf(principal.userId); // who deletes a shared folder may not be a member afterwards
      const results = await metadata.commit(principal, stream, chunks, operations);
      const spaces = new Set([...before, ...this.#spacesOf(principal.userId)]);
      for (const [at, result] of results.entries()) this.#checkAnswer([...spaces], operations[at], result);
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

  #checkAnswer(spaces: readonly number[], operation: Operation | undefined, result: OperationResult): void {
    if (result.status === 'refused' || operation === undefined) return;
    const { nodeId, version } = result;
    const about = `${JSON.stringify(operation, briefly)} was answered with node ${nodeId}, version ${version}`;
    const space = spaces.find((id) => this.#namesOf(nodeId).has(Number(this.#rowOf(id, version)?.node)));
    if (space === undefined) {
      if (!spaces.some((id) => this.#one('SELECT root FROM spaces WHERE id = ?', id)?.root === nodeId))
        this.#wrong.push(`${about}, which is not in the journal`);
      return;
    }
    this.#answers += 1;
    this.#acked.set(space, Math.max(version, this.#acked.get(space) ?? 0));
    if (result.status !== 'done' || !('base' in operation) || operation.base === 'any') return;
    if (this.#one('SELECT 1 FROM spaces WHERE root = ?', nodeId) !== undefined) return; // it has a version, and its place has one
    const before = this.#one('SELECT max(seq) AS seq FROM journal WHERE space = ? AND node = ? AND seq < ?', space, nodeId, version)?.seq;
    if (before === null && typeof operation.base === 'number') return; // it came from another space
    if ((before ?? 'absent') !== operation.base) this.#wrong.push(`${about}, and what was there before was ${before ?? 'nothing'}`);
  }

  #rowOf(space: number, seq: number) {
    return this.#one('SELECT node, digest, target, size FROM journal WHERE space = ? AND seq = ?', space, seq);
  }

  /** A shared folder is called by its root, and its place is a node of its own. */
  #namesOf(node: number): Set<number> {
    const mounts = this.#all('SELECT n.id FROM spaces s JOIN nodes n ON n.mount = s.id WHERE s.root = ? AND s.home_of IS NULL', node);
    return new Set([node, ...mounts.map(({ id }) => Number(id))]);
  }

  /** Cheap: what was answered is still there, and no number is missing. @returns what is wrong */
  glance(userIds: readonly string[]): string | null {
    const [wrong] = this.#wrong;
    if (wrong !== undefined) return wrong;
    const state = `${this.changes()} ${this.#answers} ${userIds.join(' ')}`;
    if (state === this.#glanced) return null; // as it was when it was in order
    const found = firstOf(this.#ownSpaces(userIds), (space) => this.#glanceAt(space));
    if (found === null) this.#glanced = state;
    return found;
  }

  #glanceAt(space: number): string | null {
    const first = this.#firstSeq(space);
    const journal = this.#one('SELECT count(*) AS rows, coalesce(max(seq), ?) AS last FROM journal WHERE space = ?', first - 1, space);
    const head = this.#one('SELECT head FROM spaces WHERE id = ?', space)?.head;
    if (journal?.rows !== Number(journal?.last) - first + 1 || journal?.last !== head)
      return `the journal has ${journal?.rows} rows from ${first}, the last is ${journal?.last}, and its head is said to be ${head}`;
    const acked = this.#acked.get(space) ?? 0;
    return Number(head) < acked ? `version ${acked} was answered, and the journal ends with ${head}` : null;
  }

  /** A shared folder goes on behind the numbers that it had where it was. */
  #firstSeq(space: number): number {
    if (this.#one('SELECT home_of FROM spaces WHERE id = ?', space)?.home_of !== null) return 1;
    return Number(this.#one('SELECT coalesce(min(seq), 1) AS first FROM journal WHERE space = ?', space)?.first);
  }

  /** An older database is there again: what was answered since is gone, as was asked for. */
  restored(): void {
    this.#acked.clear();
  }

  /** All that must hold of the spaces of users. @returns what is wrong */
  audit(userIds: readonly string[]): string | null {
    return this.glance(userIds) ?? firstOf(this.#ownSpaces(userIds), (space) => this.#auditSpace(space));
  }

  #auditSpace(space: number): string | null {
    return (
      this.#auditCommits(space) ??
      this.#first(
        'a node whose version is not its last row of the journal',
        'SELECT n.id, n.name, n.version FROM nodes n WHERE n.space = ? AND n.parent IS NOT NULL AND n.version <> (SELECT max(seq) FROM journal j WHERE j.space = n.space AND j.node = n.id)',
        space,
      ) ??
      this.#first(
        'a node in what is no folder of the space',
        'SELECT n.id, n.name FROM nodes n LEFT JOIN nodes p ON p.id = n.parent WHERE n.space = ? AND n.deleted_seq IS NULL AND n.parent IS NOT NULL AND (p.id IS NULL OR p.kind <> 1 OR p.space <> n.space)',
        space,
      ) ??
      this.#first(
        'folders that are in each other',
        `WITH RECURSIVE below (id) AS (
           SELECT root FROM spaces WHERE id = ?1 UNION SELECT id FROM nodes WHERE space = ?1 AND deleted_seq IS NOT NULL
           UNION SELECT n.id FROM nodes n JOIN below b ON n.parent = b.id)
         SELECT id, name FROM nodes WHERE space = ?1 AND id NOT IN (SELECT id FROM below)`,
        space,
      ) ??
      this.#auditContents(space)
    );
  }

  /** What a device says that both sides have is what the journal says of that version. @returns what is wrong */
  versionProblem(userIds: readonly string[], { node, version, kind, content, size }: AgreedNode): string | null {
    const names = this.#namesOf(node);
    const row = this.#ownSpaces(userIds) // also of one that the device is to forget, but cannot yet
      .map((space) => this.#rowOf(space, version))
      .find((found) => names.has(Number(found?.node)));
    if (row === undefined) return `node ${node} never had version ${version}`;
    if (kind === 'symlink' && row.target !== content) return `version ${version} leads to ${row.target} instead of ${content}`;
    const same = kind !== 'file' || (row.size === size && bytesOf(row.digest).toString('hex') === content);
    return same ? null : `version ${version} is another content than ${content}`;
  }

  /** Another one each time that anything was written. */
  changes(): number {
    return Number(this.#one('PRAGMA data_version')?.data_version);
  }

  journalRows(userIds: readonly string[]): number {
    return this.#ownSpaces(userIds).reduce((sum, space) => sum + Number(this.#one('SELECT head FROM spaces WHERE id = ?', space)?.head), 0);
  }

  /** Contents that a user can read: what is there, and what was since they are a member. Files by content id in hex, symlinks as the ledger calls them. */
  readable(userId: string): Set<string> {
    const sql = `SELECT j.digest, j.target FROM members m JOIN spaces s ON s.id = m.space AND s.deleted_at_ms IS NULL
      JOIN journal j ON j.space = m.space AND j.seq > m.joined_seq WHERE m.user_id = ?`;
    return contents([...this.#rowsIn(this.#spacesOf(userId)), ...this.#all(sql, userId)]);
  }

  /** What is there where a user is a viewer. */
  onlyReadable(userId: string): Set<string> {
    const spaces = this.#all('SELECT space FROM members WHERE user_id = ? AND role = 0', userId).map(({ space }) => Number(space));
    return contents(this.#rowsIn(spaces));
  }

  /** What is there in the spaces that users own. */
  live(userIds: readonly string[]): Set<string> {
    return contents(this.#rowsIn(this.#ownSpaces(userIds)));
  }

  /** What is there in the home of a user, without what is shared in it. */
  atHome(userId: string): Set<string> {
    return contents(this.#rowsIn(this.#all('SELECT id FROM spaces WHERE home_of = ?', userId).map(({ id }) => Number(id))));
  }

  /** 0: viewer; `null`: not a member of the space that the node is in. */
  roleAt(userId: string, node: number): number | null {
    const row = this.#one('SELECT m.role FROM nodes n JOIN members m ON m.space = n.space WHERE n.id = ? AND m.user_id = ?', node, userId);
    return row === undefined ? null : Number(row.role);
  }

  /** A deleted folder is one row: what is below it is not there either. */
  #rowsIn(spaces: readonly number[]) {
    const sql = `WITH RECURSIVE below (id) AS (
        SELECT root FROM spaces WHERE id = ? AND deleted_at_ms IS NULL
        UNION SELECT n.id FROM below b CROSS JOIN nodes n ON n.parent = b.id WHERE n.deleted_seq IS NULL)
      SELECT n.digest, n.target FROM below b CROSS JOIN nodes n ON n.id = b.id`;
    return spaces.flatMap((space) => this.#all(sql, space));
  }

  /** Roots of the shared folders that a user is in. */
  sharedRoots(userId: string): Set<number> {
    const sql = 'SELECT s.root FROM members m JOIN spaces s ON s.id = m.space WHERE m.user_id = ? AND s.home_of IS NULL';
    return new Set(this.#all(sql, userId).map(({ root }) => Number(root)));
  }

  /** Each row of the journal belongs to one commit, and commits follow one another. */
  #auditCommits(space: number): string | null {
    let next = this.#firstSeq(space);
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

  /** Their own, and those that they are in. */
  #spacesOf(userId: string): number[] {
    const rows = this.#all('SELECT id FROM spaces WHERE home_of = ?1 UNION SELECT space FROM members WHERE user_id = ?1', userId);
    return rows.map(({ id }) => Number(id));
  }

  #ownSpaces(userIds: readonly string[]): number[] {
    return userIds.flatMap((userId) => this.#all('SELECT id FROM spaces WHERE owner_id = ?', userId).map(({ id }) => Number(id)));
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

function firstOf(spaces: readonly number[], problem: (space: number) => string | null): string | null {
  for (const space of spaces) {
    const wrong = problem(space);
    if (wrong !== null) return wrong;
  }
  return null;
}

function contents(rows: readonly Record<string, SQLOutputValue>[]): Set<string> {
  const found = new Set<string>();
  for (const { digest, target } of rows) {
    if (target !== null) found.add(`link ${target}`);
    else if (digest instanceof Uint8Array) found.add(bytesOf(digest).toString('hex'));
  }
  return found;
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
