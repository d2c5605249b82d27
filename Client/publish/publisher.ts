import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import {
  type AnnounceBody,
  type AudienceBody,
  FetchMessage,
  PublicationResult,
  PublishedMessage,
  PublishedPage,
} from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Http } from '../http.ts';
import { watchFolder } from '../sync/disk/watch.ts';
import { AnnouncedFolder, type HashedFile } from './announced_folder.ts';
import { type LinkSession, openEventLink } from './event_link.ts';
import { type Served, serveFetch } from './serve_fetch.ts';

export type PublishEvent =
  | { readonly kind: 'announced'; readonly files: readonly HashedFile[]; readonly gone: readonly string[] }
  /** Somebody fetched these bytes. */
  | ({ readonly kind: 'served' } & Served)
  /** Somebody got less than they asked for, or nothing. */
  | { readonly kind: 'not_served'; readonly user: string; readonly error: AppError }
  /** It goes on as soon as it can. */
  | { readonly kind: 'trouble'; readonly error: AppError };

/** A local folder that is announced and served until it is closed. */
export type Publisher = AsyncDisposable & {
  readonly id: string; // 32 hex digits
  readonly name: string;
  /** What is announced now. */
  files(): readonly HashedFile[];
  /** Resolves when it has ended: closed here, or withdrawn elsewhere. */
  readonly ended: Promise<'closed' | 'withdrawn'>;
  /** Stops serving; it stays announced. */
  close(): Promise<void>;
};

export type PublisherDeps = {
  readonly session: LinkSession;
  readonly http: Http; // closed with it
  readonly onEvent: (event: PublishEvent) => void;
};

const SETTLE_MS = 150; // from a change on the disk until it is looked at: what comes meanwhile is looked at with it
const UNSETTLED_MS = 1000;
const BODY_CHARS_MAX = LIMITS.announceBodyBytesMax / 4; // a character has at most three bytes

/** @throws AppError `local_io`, `too_large`, `name_invalid`, `path_invalid`, `not_found` (no such shared folder), `user_unknown` */
export async function openPublisher(
  deps: PublisherDeps,
  wanted: { local: string; name: string; audience: AudienceBody },
): Promise<Publisher> {
  const { name, audience, local } = wanted;
  const folder = new AnnouncedFolder(local);
  const stop = new AbortController();
  await folder.look(stop.signal); // before anything is announced
  const { id } = await deps.http.json(PublicationResult, 'POST', ROUTES.publications, { body: { name, audience } });
  const publisher = new RunningPublisher(deps, { id, name, folder, stop, announced: await announcedFiles(deps.http, id) });
  await publisher.begin(local);
  return publisher;
}

/** What the server has of an earlier run. */
async function announcedFiles(http: Http, id: string): Promise<Map<string, HashedFile>> {
  const found = new Map<string, HashedFile>();
  for (let after: string | undefined; ; ) {
    const page: PublishedPageOf = await http.json(PublishedPage, 'GET', ROUTES.published, { query: { id, own: '1', after } });
    for (const { path, size, digest } of page.files) found.set(path, { path, size, digest });
    if (page.next === null) return found;
    after = page.next;
  }
}
type PublishedPageOf = { readonly files: readonly HashedFile[]; readonly next: string | null };

type Parts = {
  readonly id: string;
  readonly name: string;
  readonly folder: AnnouncedFolder;
  readonly stop: AbortController;
  readonly announced: Map<string, HashedFile>;
};

class RunningPublisher implements Publisher {
  readonly id: string;
  readonly name: string;
  readonly ended: Promise<'closed' | 'withdrawn'>;
  readonly #deps: PublisherDeps;
  readonly #folder: AnnouncedFolder;
  readonly #announced: Map<string, HashedFile>; // by path, as the server has it
  readonly #stop: AbortController;
  readonly #serving = new Set<Promise<void>>();
  readonly #onEnd: (how: 'closed' | 'withdrawn') => void;
  #endings: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  #isStale = false; // something changed since the look under way began

  constructor(deps: PublisherDeps, { id, name, folder, stop, announced }: Parts) {
    this.#deps = deps;
    this.id = id;
    this.name = name;
    this.#folder = folder;
    this.#stop = stop;
    this.#announced = announced;
    const { promise, resolve } = Promise.withResolvers<'closed' | 'withdrawn'>();
    this.ended = promise;
    this.#onEnd = resolve;
  }

  async begin(local: string): Promise<void> {
    const watcher = watchFolder(local, () => this.#lookSoon(SETTLE_MS));
    this.#endings.push(() => watcher.close());
    try {
      await this.#announce();
    } catch (error) {
      await this.close();
      throw error;
    }
    const { session } = this.#deps;
    const query = `?${new URLSearchParams({ serves: this.id })}`;
    const served = Promise.withResolvers<void>();
    const onLook = (): void => {
      served.resolve();
      this.#lookSoon(0);
    };
    this.#endings.push(openEventLink(session, { query }, { onMessage: (message) => this.#hear(message), onLook }));
    await served.promise; // it can be asked from now on, or it was tried for a while
  }

  files(): readonly HashedFile[] {
    return [...this.#announced.values()];
  }

  async close(): Promise<void> {
    await this.#end('closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(how: 'closed' | 'withdrawn'): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    for (const end of this.#endings.splice(0)) end();
    await Promise.allSettled([...this.#serving, this.#looking]);
    await this.#deps.http.close();
    this.#onEnd(how);
  }

  #lookSoon(inMs: number): void {
    if (this.#stop.signal.aborted) return;
    this.#isStale = true;
    if (this.#looking !== null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#looking = null;
        if (this.#isStale) this.#lookSoon(SETTLE_MS);
        else if (this.#folder.isUnsettled) this.#lookSoon(UNSETTLED_MS);
      });
    }, inMs);
  }

  async #look(): Promise<void> {
    this.#isStale = false;
    try {
      await this.#announce();
    } catch (error) {
      const failure = error instanceof AppError ? error : new AppError('internal', 'the folder could not be announced', { cause: error });
      if (this.#stop.signal.aborted) return;
      if (failure.code === 'not_found') void this.#end('withdrawn');
      else this.#deps.onEvent({ kind: 'trouble', error: failure });
    }
  }

  /** Brings what is announced to what is there. Asks even where nothing is to be said: whether it is still wanted. */
  async #announce(): Promise<void> {
    const there = await this.#folder.look(this.#stop.signal);
    const gone = [...this.#announced.keys()].filter((path) => !there.has(path));
    const files = [...there.values()].filter(({ path, digest }) => this.#announced.get(path)?.digest !== digest);
    for (const part of partsOf(files, gone)) {
      await this.#deps.http.json(null, 'POST', `${ROUTES.publications}/${this.id}/files`, { body: part });
      for (const path of part.gone) this.#announced.delete(path);
      for (const file of part.files) this.#announced.set(file.path, file);
      if (part.files.length + part.gone.length > 0) this.#deps.onEvent({ kind: 'announced', ...part });
    }
  }

  #hear(message: unknown): void {
    if (this.#stop.signal.aborted) return;
    const news = PublishedMessage.safeParse(message);
    if (news.success && news.data.id === this.id && news.data.change === 'withdrawn') void this.#end('withdrawn');
    const asked = FetchMessage.safeParse(message);
    if (!asked.success) return;
    const { user } = asked.data;
    const serving = serveFetch({ http: this.#deps.http, folder: this.#folder, signal: this.#stop.signal }, asked.data)
      .then((served) => this.#deps.onEvent({ kind: 'served', ...served }))
      .catch((error: unknown) => {
        const failure = error instanceof AppError ? error : new AppError('local_io', 'the file could not be read', { cause: error });
        if (failure.code === 'file_changed' || failure.code === 'not_found') this.#lookSoon(0);
        this.#deps.onEvent({ kind: 'not_served', user, error: failure });
      })
      .finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }
}

/** As many requests as it takes; at least one. */
function partsOf(files: readonly HashedFile[], gone: readonly string[]): AnnounceBody[] {
  const parts: { files: { path: string; size: number; digest: string }[]; gone: string[] }[] = [];
  let chars = Number.POSITIVE_INFINITY;
  const roomFor = (text: string) => {
    const last = parts.at(-1);
    chars += JSON.stringify(text).length + 120;
    if (last !== undefined && chars <= BODY_CHARS_MAX && last.files.length + last.gone.length < LIMITS.announcedFilesMax) return last;
    chars = JSON.stringify(text).length + 120;
    const next = { files: [], gone: [] } as (typeof parts)[number];
    parts.push(next);
    return next;
  };
  for (const path of gone) roomFor(path).gone.push(path);
  for (const { path, size, digest } of files) roomFor(path).files.push({ path, size, digest });
  return parts.length === 0 ? [{ files: [], gone: [] }] : parts;
}
