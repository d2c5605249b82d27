import type { NodeId } from '../core/tree.ts';
import type { Intent } from '../disk/local_tree.ts';
import type { Reason } from '../reasons.ts';
import type { Row } from './index_rows.ts';
import type { Statements } from './index_statements.ts';

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

/** What an index knows beside the trees. */
export type IndexNotes = {
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
  /** The folders in this one, as `setPicture` had them, if it is kept and shows exactly this; else `null`. */
  pictured(folder: NodeId, shown: Uint8Array): readonly NodeId[] | null;
  setPicture(folder: NodeId, picture: Picture): void;
  forgetPictures(): void;
  /** Nodes of the server that are not synced to here, each with all below it. At least these: some may have been deleted since. */
  leftOut(atMost: number): number[];
  leaveOut(node: number): void;
  takeIn(node: number): void;
  takeAllIn(): void;
  /** What a line that means a place leaves out, by the folder it is in: see left_out_places.ts. */
  keepOut(entry: KeptOut): void;
  keptOut(folder: NodeId, name: string): Pick<KeptOut, 'source' | 'pattern'> | null;
  /** Those whose line is not there any more are forgotten. */
  endKeptOut(isOver: (rule: Pick<KeptOut, 'source' | 'pattern'>) => boolean): void;
};

export type KeptOut = { readonly folder: NodeId; readonly name: string; readonly source: 'ignored' | 'excluded'; readonly pattern: string };

function rule(row: Row | undefined): Pick<KeptOut, 'source' | 'pattern'> | null {
  return row === undefined ? null : { source: row.source as KeptOut['source'], pattern: row.pattern as string };
}

export function indexNotes({ sql, all, one, run }: Statements): IndexNotes {
  const setting = (name: string): string | undefined => one('SELECT value FROM settings WHERE name = ?', name)?.value as string | undefined;
  const setSetting = (name: string, value: string | null): void => {
    if ((setting(name) ?? null) === value) return; // each write waits for the disk
    if (value === null) run('DELETE FROM settings WHERE name = ?', name);
    else run('INSERT OR REPLACE INTO settings VALUES (?, ?)', name, value);
  };
  return {
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
    pictured(folder, shown) {
      const ids = sql('SELECT folders FROM pictures WHERE folder = ? AND picture = ?').get(folder, shown)?.folders as
        | Uint8Array
        | undefined;
      return ids === undefined ? null : [...new Float64Array(ids.buffer.slice(ids.byteOffset, ids.byteOffset + ids.byteLength))];
    },
    setPicture(folder, { shown, folders }) {
      sql('INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)').run(folder, shown, new Uint8Array(Float64Array.from(folders).buffer));
    },
    forgetPictures: () => run('DELETE FROM pictures'),
    leftOut: (atMost) => all('SELECT node FROM left_out ORDER BY node LIMIT ?', atMost).map((row) => row.node as number),
    leaveOut: (node) => run('INSERT OR IGNORE INTO left_out VALUES (?)', node),
    takeIn: (node) => run('DELETE FROM left_out WHERE node = ?', node),
    takeAllIn: () => run('DELETE FROM left_out'),
    keepOut: ({ folder, name, source, pattern }) =>
      run(
        'INSERT INTO kept_out VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET source = excluded.source, pattern = excluded.pattern WHERE pattern <> excluded.pattern',
        ...[folder, name, source, pattern],
      ),
    keptOut: (folder, name) => rule(one('SELECT source, pattern FROM kept_out WHERE folder = ? AND name = ?', folder, name)),
    endKeptOut(isOver) {
      for (const row of all('SELECT DISTINCT source, pattern FROM kept_out')) {
        const over = rule(row);
        if (over !== null && isOver(over)) run('DELETE FROM kept_out WHERE source = ? AND pattern = ?', over.source, over.pattern);
      }
    },
  };
}
