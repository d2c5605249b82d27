import { AppError } from '../../Models/errors.ts';
import { type BulkInsert, type BulkQuery, bulkInsert, bulkQuery, type SqlValue } from '../bulk.ts';
import type { ChangeKind, Principal } from '../metadata.ts';
import type { Dialect } from '../migrate.ts';
import type { Chunks } from './sql_metadata_chunks.ts';
import { JOURNAL_KINDS, NODE_INSERT_COLUMNS, type Node, nodeValues, type Rows } from './sql_metadata_schema.ts';
import { lockSpaces } from './sql_metadata_view.ts';

/**
 * One row of the journal, but for its number; content fields are those of `node`, and so is the folder it is in. `node.version` is
 * still that of the row before, 0 for a node that has none.
 */
export type JournalEntry = {
  readonly kind: ChangeKind;
  readonly node: Node;
  readonly path: string;
  readonly fromPath?: string;
  readonly manifest?: Buffer | null;
  readonly op?: number | null;
  /** Of a notice: JSON. */
  readonly details?: string;
};

/**
 * What a transaction is going to write, gathered so that it goes out in large statements: nodes, journal, chunks and, at the end, the
 * heads of the spaces and who did it.
 */
export type Ledger = {
  /** Takes the space's next journal number for this change. */
  record(space: number, entry: JournalEntry): number;
  /** The journal numbers of the space continue behind `seq`; for a space made in this transaction. */
  begin(space: number, seq: number): void;
  /**
   * Takes the locks of spaces that will be written; in the order of their ids when given together.
   * @returns whether one of them was not locked before, so that what was read of it may be old
   */
  lock(spaces: readonly number[]): Promise<boolean>;
  /** The space's newest journal number, those taken here included; under its lock. */
  head(space: number): number;
  insert(node: Node): void;
  /** The node's row is changed to what the node holds at the next flush. */
  update(node: Node): void;
  remove(node: Node, seq: number): void;
  addChunk(values: SqlValue[]): void;
  /** Spaces whose journals have grown. */
  written(): number[];
  readonly pending: number; // rows
  flush(): Promise<void>;
  /** Flushes and closes the books. */
  finish(): Promise<void>;
};

export type LedgerStatements = {
  readonly insertNodes: BulkInsert;
  readonly updateNodes: BulkQuery<never>;
  readonly insertJournal: BulkInsert;
};

const JOURNAL_COLUMNS = [
  'space',
  'seq',
  'kind',
  'node',
  'path',
  'from_path',
  'size',
  'mtime_us',
  'digest',
  'mode',
  'target',
  'manifest',
  'commit_id',
  'op',
  'details',
  'parent',
  'prev',
] as const;

export function ledgerStatements(dialect: Dialect): LedgerStatements {
  return {
    insertNodes: bulkInsert(dialect, 'nodes', NODE_INSERT_COLUMNS),
    insertJournal: bulkInsert(dialect, 'journal', JOURNAL_COLUMNS),
    updateNodes: bulkQuery<never>(
      dialect,
      {
        id: 'int8',
        space: 'int8',
        parent: 'int8',
        name: 'text',
        key: 'text',
        kind: 'int8',
        version: 'int8',
        size: 'int8',
        mtime_us: 'int8',
        digest: 'blob',
        mode: 'int8',
        chunk_count: 'int8',
        target: 'text',
        mount: 'int8',
        deleted_seq: 'int8',
      },
      `UPDATE nodes SET space = v.space, parent = v.parent, name = v.name, key = v.key, kind = v.kind, version = v.version, size = v.size,
         mtime_us = v.mtime_us, digest = v.digest, mode = v.mode, chunk_count = v.chunk_count, target = v.target,
         deleted_seq = v.deleted_seq
       FROM v WHERE nodes.id = v.id`,
    ),
  };
}

export type LedgerDeps = {
  readonly dialect: Dialect;
  readonly statements: LedgerStatements;
  readonly chunks: Pick<Chunks, 'insert'>;
  readonly principal: Principal;
  readonly stream: Buffer | null;
  /** Why, when it is not simply that somebody did it. */
  readonly reason: 'rewind' | 'undo' | null;
  readonly nowMs: number;
  /** A fresh id, for a row of `commits`. */
  readonly nextId: () => number;
  /** The spaces whose journal grew are added to it. */
  readonly touched: Set<number>;
};

type Book = { readonly commitId: number; readonly firstSeq: number; head: number };
type Pending = { readonly node: Node; deletedSeq: number | null };

export function openLedger(trx: Rows, deps: LedgerDeps): Ledger {
  const heads = new Map<number, number>();
  const books = new Map<number, Book>();
  const inserted = new Map<number, Pending>();
  const updated = new Map<number, Pending>();
  let journal: SqlValue[][] = [];
  let chunkRows: SqlValue[][] = [];

  function bookOf(space: number): Book {
    const known = books.get(space);
    if (known !== undefined) return known;
    const head = heads.get(space);
    if (head === undefined) throw new Error(`space ${space} is written without its lock`);
    const book = { commitId: deps.nextId(), firstSeq: head + 1, head };
    books.set(space, book);
    return book;
  }

  async function flush(): Promise<void> {
    // Changed rows first: a name that was given up may be taken again by a new node.
    await deps.statements.updateNodes(
      trx,
      Array.from(updated.values(), ({ node, deletedSeq }) => nodeValues(node, deletedSeq)),
    );
    await deps.statements.insertNodes(
      trx,
      Array.from(inserted.values(), ({ node, deletedSeq }) => nodeValues(node, deletedSeq)),
    );
    await deps.statements.insertJournal(trx, journal);
    await deps.chunks.insert(trx, chunkRows);
    updated.clear();
    inserted.clear();
    journal = [];
    chunkRows = [];
  }

  async function closeBooks(): Promise<void> {
    for (const [space, { commitId, firstSeq, head }] of books) {
      deps.touched.add(space);
      await trx.updateTable('spaces').set({ head }).where('id', '=', space).execute();
      const { userId: user_id, userName: user_name, deviceId: device } = deps.principal;
      const who = { user_id, user_name, device, stream: deps.stream, at_ms: deps.nowMs, reason: deps.reason };
      await trx
        .insertInto('commits')
        .values({ id: commitId, space, first_seq: firstSeq, last_seq: head, ...who })
        .execute();
    }
  }

  return {
    record(space, { kind, node, path, fromPath, manifest, op, details }) {
      const book = bookOf(space);
      book.head += 1;
      journal.push([
        space,
        book.head,
        JOURNAL_KINDS.indexOf(kind),
        node.id,
        path,
        fromPath ?? null,
        node.size,
        node.mtimeUs,
        node.digest,
        node.mode,
        node.target,
        manifest ?? null,
        book.commitId,
        op ?? null,
        details ?? null,
        node.parent,
        node.version === 0 ? null : node.version,
      ]);
      return book.head;
    },
    begin: (space, seq) => void heads.set(space, seq),
    async lock(spaces) {
      const missing = spaces.filter((id) => !heads.has(id));
      const locked = await lockSpaces(trx, deps.dialect, missing);
      for (const [id, head] of locked) heads.set(id, head);
      return locked.size > 0;
    },
    head(space) {
      const head = books.get(space)?.head ?? heads.get(space);
      if (head === undefined) throw new AppError('not_found', 'the space is not there');
      return head;
    },
    insert: (node) => void inserted.set(node.id, { node, deletedSeq: null }),
    update(node) {
      if (!inserted.has(node.id)) updated.set(node.id, { node, deletedSeq: null });
    },
    remove(node, seq) {
      const fresh = inserted.get(node.id);
      if (fresh === undefined) updated.set(node.id, { node, deletedSeq: seq });
      else fresh.deletedSeq = seq;
    },
    addChunk: (values) => void chunkRows.push(values),
    written: () => [...books.keys()],
    get pending() {
      return journal.length + chunkRows.length;
    },
    flush,
    async finish() {
      await flush();
      await closeBooks();
    },
  };
}
