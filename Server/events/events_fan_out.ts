import { randomBytes } from 'node:crypto';
import type { ArrivingFile, Moment } from '../../Models/events.ts';
import type { Following, LatestRows, News } from '../../Storage/following.ts';
import type { SpaceReader, SpaceReaders } from '../../Storage/space_readers.ts';
import type { Touched } from '../../Storage/touched.ts';

/** Brings the news of committed changes to the users that they concern. */
export interface ChangeFanOut {
  /** Something was committed. Returns at once and never throws. */
  publish(touched: Touched): void;
  /**
   * @param tell called after changes that the user can read, once for several that come together, with the time of the last; must neither throw nor wait
   * @returns ends the subscription
   */
  subscribe(userId: string, tell: (at: Moment) => void): () => void;
  /** The same with the news themselves. @param hear must neither throw nor wait */
  follow(userId: string, hear: (news: News) => void): () => void;
  /** The long files that the user's devices are pushing. @param hear must neither throw nor wait */
  hearArriving(userId: string, hear: (file: ArrivingFile) => void): () => void;
  /** One of the user's devices is pushing a long file. */
  publishArriving(userId: string, file: ArrivingFile): void;
  /** By the clock that says when changes were published. */
  now(): Moment;
}

const RETRY_MS = 1000;

/**
 * The fan-out inside one process: who may know of a change is asked from the database when it was made, one question at a time for all
 * that came meanwhile, and none while nobody listens. What was published is kept until the question was answered. Where somebody follows, the newest
 * rows are read before: so who is told a row may read it after it was committed.
 */
export class LocalFanOut implements ChangeFanOut {
  readonly #readersOf: SpaceReaders;
  readonly #onFailure: (error: unknown) => void;
  readonly #server = randomBytes(4).toString('hex');
  readonly #latestRows: Following['latestRows'];
  readonly #listeners = new Map<string, Set<(at: Moment) => void>>(); // by user
  readonly #followers = new Map<string, Set<(news: News) => void>>();
  readonly #arriving = new Map<string, Set<(file: ArrivingFile) => void>>();
  #spaces = new Set<number>();
  #users = new Set<string>();
  #latest = this.now(); // of what is to be told
  #telling: Promise<void> | null = null;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    { readersOf, following }: { readonly readersOf: SpaceReaders; readonly following: Pick<Following, 'latestRows'> },
    onFailure: (error: unknown) => void,
  ) {
    this.#readersOf = readersOf;
    this.#latestRows = following.latestRows;
    this.#onFailure = onFailure;
  }

  publish({ spaces, users }: Touched): void {
    if ((this.#listeners.size === 0 && this.#followers.size === 0) || this.#closed) return;
    for (const space of spaces) this.#spaces.add(space);
    for (const user of users) this.#users.add(user);
    this.#latest = this.now();
    this.#start();
  }

  now(): Moment {
    return { server: this.#server, us: Math.floor(performance.now() * 1000) };
  }

  subscribe(userId: string, tell: (at: Moment) => void): () => void {
    return added(this.#listeners, userId, tell);
  }

  follow(userId: string, hear: (news: News) => void): () => void {
    return added(this.#followers, userId, hear);
  }

  hearArriving(userId: string, hear: (file: ArrivingFile) => void): () => void {
    return added(this.#arriving, userId, hear);
  }

  publishArriving(userId: string, file: ArrivingFile): void {
    for (const hear of this.#arriving.get(userId) ?? []) hear(file);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#telling;
  }

  #start(): void {
    this.#telling ??= this.#tellAll()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#telling = null;
      });
  }

  async #tellAll(): Promise<void> {
    while (this.#users.size > 0 || this.#spaces.size > 0) {
      const users = this.#users;
      this.#users = new Set();
      const at = this.#latest;
      this.#tell(users, at);
      const spaces = this.#spaces;
      this.#spaces = new Set();
      if (spaces.size === 0) continue;
      const { latest, readers } = await this.#news(spaces);
      this.#tell(new Set(readers.map(({ userId }) => userId)), at);
      if (this.#followers.size > 0) this.#bring(latest, readers);
    }
  }

  async #news(spaces: ReadonlySet<number>): Promise<News> {
    try {
      const latest: LatestRows = this.#followers.size > 0 ? await this.#latestRows(spaces) : new Map();
      return { latest, readers: await this.#readersOf([...spaces]) };
    } catch (error) {
      for (const space of spaces) this.#spaces.add(space);
      throw error;
    }
  }

  #tell(users: Iterable<string>, at: Moment): void {
    for (const user of users) for (const tell of this.#listeners.get(user) ?? []) tell(at);
  }

  #bring(latest: LatestRows, readers: readonly SpaceReader[]): void {
    for (const [userId, own] of Map.groupBy(readers, (reader) => reader.userId)) {
      for (const hear of this.#followers.get(userId) ?? []) hear({ latest, readers: own });
    }
  }

  #failed(error: unknown): void {
    this.#onFailure(error);
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#start(), RETRY_MS).unref();
  }
}

/** @returns takes it out again */
function added<Call>(calls: Map<string, Set<Call>>, userId: string, call: Call): () => void {
  const own = calls.get(userId) ?? new Set();
  calls.set(userId, own.add(call));
  return () => {
    own.delete(call);
    if (own.size === 0 && calls.get(userId) === own) calls.delete(userId);
  };
}
