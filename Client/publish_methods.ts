import { join, basename as lastName, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { PublishedMessage, RestFetch, RestPublication, RestPublished } from '../Models/rest_published.ts';
import { ROUTES } from '../Models/routes.ts';
import { type Http, httpFor } from './http.ts';
import type { Fetched, FetchOptions } from './publish/fetch_file.ts';
import type { PublishEvent, Publisher } from './publish/publisher.ts';
import { restCaller } from './rest_call.ts';
import type { Session } from './session/session.ts';

export type { Fetched, FetchOptions, PublishEvent, Publisher };

/** Whom files are published for, beside oneself: whoever has an account, users by name, or the members of a shared folder as they are at that time. */
export type PublishTo = 'everyone' | readonly string[] | { readonly membersOf: string };
/** `name`: the folder's own if not given. `to`: nobody else if not given. */
export type PublishOptions = { readonly name?: string; readonly to?: PublishTo; readonly onEvent?: (event: PublishEvent) => void };
export type PublishedOptions = { readonly user?: string; readonly own?: boolean };

/** Files that stay where they are, and are fetched from there while their device is connected. Errors as of `Driftless`; what else, each says. */
export type PublishMethods = {
  /**
   * Announces the files in a local folder, by name, size and digest, and sends them to those who may have them when they ask, until `close` of what
   * it returns. Files that come, change or go are announced as they do. What is announced stays so, as offline, until `unpublish`.
   * @throws AppError `local_io`, `too_large` (over 10,000 files), `user_unknown`, `not_found` (no such shared folder), `data_folder_locked` (a process publishes under this name)
   */
  publish(local: string, options?: PublishOptions): Promise<Publisher>;
  /** Withdraws what is published under a name, on this device or, if there is none, another. @throws AppError `not_found` */
  unpublish(name: string): Promise<void>;
  /** What the user publishes, on all devices. */
  publications(): Promise<RestPublication[]>;
  /** What the user may fetch now. Fetched page by page as they are taken. */
  published(options?: PublishedOptions): AsyncIterable<RestPublished>;
  /** Told when a file is added to what the user may fetch or taken from it, and when an owner comes or goes; not what happened while not connected. @returns ends it */
  watchPublished(onMessage: (message: PublishedMessage) => void): () => void;
  /**
   * Brings a published file from its owner's device, through the server, which keeps nothing of it. `local` is the file's path, or a folder for it. What was
   * broken off goes on from where it was; the file takes its name when its digest is the announced one.
   * @param name the file's path, or the publication's name, a slash, and that
   * @throws AppError `not_found`, `owner_offline`, `file_changed`, `digest_mismatch`, `local_io`, `cancelled`
   */
  fetch(user: string, name: string, local: string, options?: FetchOptions): Promise<Fetched>;
  /** The first 1024 bytes. @throws AppError `not_found`, `owner_offline`, `file_changed` */
  fetchPreview(user: string, name: string): Promise<Buffer>;
  /** Who fetched the user's files, newest first. */
  fetches(): AsyncIterable<RestFetch>;
};

export function publishMethods({
  session,
  http,
  home,
}: {
  readonly session: Session;
  readonly http: Http;
  readonly home: string;
}): PublishMethods {
  const call = restCaller(http, () => import('../Models/rest_published.ts'));
  const page = (query: { user?: string; name?: string; own?: '1'; after?: string }) =>
    call(({ PublishedPage }) => ({ schema: PublishedPage, method: 'GET', route: ROUTES.published, query }));
  const publications = async (): Promise<RestPublication[]> =>
    (await call(({ PublicationsList }) => ({ schema: PublicationsList, method: 'GET', route: ROUTES.publications }))).publications;
  const find = (user: string, name: string) => async (): Promise<RestPublished[]> => (await page({ user, name })).files;

  return {
    publications,
    async publish(local, { name = lastName(resolve(local)), to = [], onEvent = () => undefined } = {}) {
      const { openPublisher } = await import('./publish/publisher.ts');
      const lock = await lockName(home, session, name);
      const own = httpFor(session);
      try {
        const publisher = await openPublisher({ session, http: own, onEvent }, { local: resolve(local), name, audience: audienceOf(to) });
        void publisher.ended.then(() => lock[Symbol.dispose]());
        return publisher;
      } catch (error) {
        lock[Symbol.dispose]();
        await own.close();
        throw error;
      }
    },
    async unpublish(name) {
      const found = (await publications()).filter((one) => one.name === name);
      const one = found.find(({ device }) => device === session.deviceId) ?? found[0];
      if (one === undefined) throw new AppError('not_found', `nothing is published as ${name}`);
      await call<void>(() => ({ schema: null, method: 'DELETE', route: `${ROUTES.publications}/${one.id}` }));
    },
    async *published({ user, own = false } = {}) {
      const which = { ...(user === undefined ? {} : { user }), ...(own ? { own: '1' as const } : {}) };
      let part = await page(which);
      yield* part.files;
      while (part.next !== null) {
        part = await page({ ...which, after: part.next });
        yield* part.files;
      }
    },
    watchPublished(onMessage) {
      let end: (() => void) | null = null;
      let isOver = false;
      void Promise.all([import('./publish/event_link.ts'), import('../Models/rest_published.ts')]).then(
        ([{ openEventLink }, { PublishedMessage }]) => {
          if (isOver) return;
          const hear = (value: unknown): void => {
            const message = PublishedMessage.safeParse(value);
            if (message.success) onMessage(message.data);
          };
          end = openEventLink(session, {}, { onMessage: hear, onLook: () => undefined });
        },
      );
      return () => {
        isOver = true;
        end?.();
      };
    },
    async fetch(user, name, local, options) {
      const { fetchFile } = await import('./publish/fetch_file.ts');
      return fetchFile({ http, find: find(user, name) }, local, options);
    },
    async fetchPreview(user, name) {
      const { fetchStart } = await import('./publish/fetch_file.ts');
      return buffer(await fetchStart({ http, find: find(user, name) }, LIMITS.previewBytes));
    },
    async *fetches() {
      const fetchesPage = (after?: string) =>
        call(({ FetchesPage }) => ({ schema: FetchesPage, method: 'GET', route: ROUTES.fetches, query: { after } }));
      let part = await fetchesPage();
      yield* part.fetches;
      while (part.next !== null) {
        part = await fetchesPage(part.next);
        yield* part.fetches;
      }
    },
  };
}

function audienceOf(to: PublishTo) {
  if (to === 'everyone') return { kind: 'everyone' as const };
  return 'membersOf' in to ? { kind: 'space' as const, path: to.membersOf } : { kind: 'users' as const, users: [...to] };
}

/** Two processes that announce different files under one name would take them from each other. */
async function lockName(home: string, { auth, user }: Session, name: string): Promise<Disposable> {
  const [{ hash }, { mkdir }, { tryLock }] = await Promise.all([
    import('node:crypto'),
    import('node:fs/promises'),
    import('./session/private_file.ts'),
  ]);
  const folder = join(home, 'publish');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = await tryLock(join(folder, `${hash('sha256', `${auth} ${user.id} ${name}`).slice(0, 32)}.lock`));
  if (lock === null) throw new AppError('data_folder_locked', `another process publishes as ${name}`);
  return lock;
}
