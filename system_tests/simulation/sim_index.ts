import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type SyncIndex, syncIndexIn } from '../../Client/sync/index/sync_index.ts';

const OBSERVED_MAX = 8;

/** Writes that stand alone, each a transaction of its own. */
const WRITES: ReadonlySet<string> = new Set<keyof SyncIndex>([
  'setSetting',
  'addIntents',
  'endIntents',
  'setProblem',
  'clearProblem',
  'addConflict',
  'endConflict',
  'setPicture',
  'forgetPictures',
  'setLocal',
  'setRemote',
  'setLocalGone',
  'setRemoteGone',
  'agree',
  'disagree',
  'renewed',
  'settle',
  'settleBefore',
  'noteSent',
  'endSent',
  'adopt',
  'setRoot',
  'forgetRoot',
  'forgetAgreement',
  'beginListing',
  'listed',
  'endListing',
  'exclude',
  'keepOut',
  'endKeptOut',
  'newId',
]);

const EMPTY = emptyIndex();

/** The file of an index, in memory: it outlives processes, and knows what a power cut may take from it. */
export class SimIndexFile {
  #bytes: Uint8Array | null = null;
  #open: DatabaseSync | null = null;
  /** As it was before each `observe` since something was last made durable, oldest first. */
  readonly #lagging: Uint8Array[] = [];
  #opened = 0; // times
  #changes: StatementSync | null = null;
  #depth = 0;
  readonly #losesPower: boolean;

  /** @param losesPower the power may be cut: what was not durable is remembered */
  constructor(losesPower: boolean) {
    this.#losesPower = losesPower;
  }

  open(): SyncIndex {
    const db = new DatabaseSync(':memory:');
    const bytes = this.#bytes ?? EMPTY;
    db.deserialize(bytes);
    this.#open = db;
    this.#opened += 1;
    this.#changes = null;
    this.#depth = 0;
    return this.#noting(syncIndexIn(db));
  }

  /** Another one each time that it was opened or anything was written. */
  get state(): string {
    this.#changes ??= this.#open?.prepare('SELECT total_changes() AS changes') ?? null;
    return `${this.#opened} ${this.#changes?.get()?.changes}`;
  }

  /** A process that has it open is killed first. */
  get bytes(): Uint8Array | null {
    return this.#bytes;
  }

  /** While no process has it open. @returns `null`: there is none */
  peek<T>(ask: (index: SyncIndex) => T): T | null {
    if (this.#bytes === null) return null;
    const db = new DatabaseSync(':memory:');
    db.deserialize(this.#bytes);
    const index = syncIndexIn(db);
    try {
      return ask(index);
    } finally {
      index.close();
    }
  }

  /** @param bytes of another file, or of this one as it was; `null`: it was deleted */
  replace(bytes: Uint8Array | null): void {
    this.#bytes = bytes;
    this.#lagging.length = 0;
  }

  /** What was only observed is in the log that nobody waited for: any last part of it may be gone. */
  cutPower(random: () => number): boolean {
    const at = Math.floor(random() * (this.#lagging.length + 1));
    const kept = this.#lagging[at];
    if (kept !== undefined) this.#bytes = kept;
    this.#lagging.length = 0;
    return kept !== undefined;
  }

  #noting(index: SyncIndex): SyncIndex {
    const within = <T>(work: () => T): T => {
      this.#depth += 1;
      try {
        return work();
      } finally {
        this.#depth -= 1;
      }
    };
    const durable = <T>(work: () => T): T => {
      const isOutermost = this.#depth === 0;
      const result = within(work);
      if (isOutermost) this.#lagging.length = 0;
      return result;
    };
    const writes = Object.entries(index).flatMap(([name, method]) =>
      WRITES.has(name) ? [[name, (...given: unknown[]) => durable(() => Reflect.apply(method as () => unknown, index, given))]] : [],
    );
    return {
      ...index,
      ...(Object.fromEntries(writes) as Partial<SyncIndex>),
      transaction: (work) => durable(() => index.transaction(work)),
      observe: (work) => {
        if (this.#losesPower && this.#depth === 0 && this.#lagging.length < OBSERVED_MAX) this.#lagging.push(this.#now());
        return within(() => index.observe(work));
      },
      close: () => {
        this.#bytes = this.#now();
        this.#open = null;
        index.close();
      },
    };
  }

  #now(): Uint8Array {
    return this.#open?.serialize() ?? this.#bytes ?? EMPTY;
  }
}

/** Small pages: most tables have a few rows, and all of it is copied often. */
function emptyIndex(): Uint8Array {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA page_size = 512');
  const index = syncIndexIn(db);
  try {
    return db.serialize();
  } finally {
    index.close();
  }
}
