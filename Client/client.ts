import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { infer as Infer } from 'zod';
import { AppError } from '../Models/errors.ts';
import type { RestChange, RestEntry, RestPage, WhoAmI } from '../Models/rest.ts';
import type { RestEvent, RestOnline } from '../Models/rest_events.ts';
import type { RestDeed, RestPlanConflict, RestPlanStep, RestTrashItem, RestVersion } from '../Models/rest_history.ts';
import type { RestLink, RestLinkAccess } from '../Models/rest_links.ts';
import type { RestProfile } from '../Models/rest_profile.ts';
import type { PublishedMessage, RestFetch, RestPublication, RestPublished } from '../Models/rest_published.ts';
import type { RestPlaces, RestSyncedRoot } from '../Models/rest_receipt.ts';
import type { RestDevice, RestSession } from '../Models/rest_sessions.ts';
import type { RestInvitation, RestMember } from '../Models/rest_sharing.ts';
import type { RestWebhook } from '../Models/rest_webhooks.ts';
import { ROUTES } from '../Models/routes.ts';
import type { EndReason } from '../Models/session_ends.ts';
import { type AccountMethods, accountMethods } from './account_methods.ts';
import { type DeviceMethods, deviceMethods } from './device_methods.ts';
import { type EventMethods, eventMethods } from './event_methods.ts';
import { failureText } from './failure_text.ts';
import { type FindMethods, findMethods } from './find_methods.ts';
import { type HistoryMethods, historyMethods, type Plan } from './history_methods.ts';
import { type Http, httpFor } from './http.ts';
import { type LinkMethods, type LinkOptions, linkMethods, type NewLink } from './link_methods.ts';
import {
  type Fetched,
  type FetchOptions,
  type PublishEvent,
  type Publisher,
  type PublishMethods,
  type PublishTo,
  publishMethods,
} from './publish_methods.ts';
import { type QuotaMethods, quotaMethods } from './quota_methods.ts';
import { type ReceiptMethods, receiptMethods } from './receipt_methods.ts';
import { type Caller, restCaller } from './rest_call.ts';
import type { FirstContact } from './session/daemon_pins.ts';
import type { Session } from './session/session.ts';
import { type SharingMethods, sharingMethods } from './sharing_methods.ts';
import type { Sync, SyncEvent, SyncOptions, SyncStatus } from './sync.ts';
import type { createTransfers, Progress, TransferFailure, TransferReport } from './transfers.ts';
import { type NewWebhook, type WebhookMethods, webhookMethods } from './webhook_methods.ts';

export type {
  EndReason,
  Fetched,
  FetchOptions,
  LinkOptions,
  NewLink,
  NewWebhook,
  Plan,
  Progress,
  PublishEvent,
  PublishedMessage,
  Publisher,
  PublishTo,
  RestChange,
  RestDeed,
  RestDevice,
  RestEntry,
  RestEvent,
  RestFetch,
  RestInvitation,
  RestLink,
  RestLinkAccess,
  RestMember,
  RestOnline,
  RestPlaces,
  RestPlanConflict,
  RestPlanStep,
  RestProfile,
  RestPublication,
  RestPublished,
  RestSession,
  RestSyncedRoot,
  RestTrashItem,
  RestVersion,
  RestWebhook,
  Sync,
  SyncEvent,
  SyncOptions,
  SyncStatus,
  TransferFailure,
  TransferReport,
};

/**
 * `home`: folder of the profile, `~/.driftless` if not given. `auth`: the daemon, `host:port`. `serverUrl`: the HTTP server, which carries the login where
 * UDP does not get through; port 4811 of the daemon's host, or what the profile knows, if not given.
 */
export type ConnectOptions = {
  readonly username: string;
  readonly password?: string;
  readonly auth: string;
  readonly home?: string;
  readonly serverUrl?: string | undefined;
} & FirstContact;
/** The daemon: its address, or a code of `driftless-admin invite-code`, which has its address and its key. */
export type RegisterOptions = Omit<ConnectOptions, 'auth' | 'password'> & { readonly password: string } & (
    | { readonly auth: string; readonly invite?: undefined }
    | { readonly invite: string; readonly auth?: undefined }
  );
/** What is not given is taken from the profile: the last user, the daemon that user logged in at. */
export type ResumeOptions = {
  readonly username?: string;
  readonly auth?: string;
  readonly home?: string;
  /** A session of its own beside that of the profile, for a person at a prompt: it ends with `close`, and when nothing is done in it for `idleMs`. */
  readonly interactive?: boolean;
};

export type TransferOptions = { readonly onProgress?: (progress: Progress) => void; readonly signal?: AbortSignal };
export type ListOptions = { readonly search?: string; readonly sort?: 'name' | 'size' | 'mtime'; readonly order?: 'asc' | 'desc' };
export type PageOptions = ListOptions & { readonly after?: string; readonly limit?: number };
export type ChangesOptions = { readonly after?: string; readonly limit?: number };
export type Written = { readonly path: string; readonly version: number; readonly unchanged: boolean };
export type ChangesPage = { readonly changes: RestChange[]; readonly cursor: string; readonly more: boolean };
export type Identity = Infer<typeof WhoAmI>;

/**
 * A logged-in user's view of a Driftless server. Remote paths begin with `/` and are the user's own.
 *
 * Every method throws AppError (Models/errors.ts); branch on its `code`. Each may throw `server_unreachable`, `auth_unreachable`, `session_unknown`,
 * `ticket_revoked`, `too_many_requests`, `busy`, `internal`, and `path_invalid` or `name_invalid` where a path is given; what else, each says.
 * What the user may not see does not exist: `not_found`.
 */
export type Driftless = AsyncDisposable &
  AccountMethods &
  DeviceMethods &
  SharingMethods &
  HistoryMethods &
  FindMethods &
  EventMethods &
  LinkMethods &
  WebhookMethods &
  QuotaMethods &
  PublishMethods &
  ReceiptMethods & {
    readonly username: string;
    readonly serverUrl: string;
    /** HOST:PORT of the authentication daemon. */
    readonly auth: string;

    /** Makes the folders above it too. @throws AppError `already_exists`, `name_collides`, `not_a_folder`, `forbidden` */
    createFolder(path: string): Promise<Written>;
    /**
     * Sends a file, or what a folder holds; `remote` becomes it (nothing else in a folder `remote` is removed). What is already the same is
     * not sent. Goes on past a file that fails and names it in the report. When it resolves, all the rest is durable.
     * @throws AppError `cancelled`; if nothing could be sent, the reason: `local_io`, `not_a_file`, `not_a_folder`, `forbidden`, `storage_full`, `too_large`
     */
    upload(local: string, remote: string, options?: TransferOptions): Promise<TransferReport>;
    /**
     * The other way; every byte is checked against the content id before a file takes its name.
     * @throws AppError `cancelled`; if nothing could be fetched, the reason: `not_found`, `local_io`, `digest_mismatch`, `corrupt`
     */
    download(remote: string, local: string, options?: TransferOptions): Promise<TransferReport>;
    /** As `upload`, several at once. Throws only what ends all of it, `local_io` for a source that is not there; other failures are in the report. */
    put(sources: readonly { local: string; remote: string }[], options?: TransferOptions): Promise<TransferReport>;
    /** As `download`, several at once. Throws only what ends all of it; other failures are in the report. */
    get(sources: readonly { remote: string; local: string }[], options?: TransferOptions): Promise<TransferReport>;

    /** The entries of a folder; with `search` all entries below it whose name holds that text. Fetched page by page as they are taken.
     *  @throws AppError `not_found`, `not_a_folder`, `request_invalid` (search text too long) */
    list(path?: string, options?: ListOptions): AsyncIterable<RestEntry>;
    /** One page; `next` is the `after` of the page behind it. @throws AppError as `list`, `cursor_invalid` */
    listPage(path: string, options?: PageOptions): Promise<RestPage>;
    /** @throws AppError `not_found` */
    entry(path: string): Promise<RestEntry>;
    /**
     * Content of a file as it comes. `start` is the first byte, `end` the one behind the last; `version` is an older one.
     * @throws AppError `not_found`, `not_a_file`, `range_invalid`; the stream fails with `server_unreachable` when the connection is lost
     */
    read(path: string, part?: { start?: number; end?: number; version?: number }): Promise<Readable>;
    /** The first 1024 bytes. @throws AppError `not_found`, `not_a_file` */
    preview(path: string): Promise<Buffer>;

    /** Renames or moves, also a whole folder: no content is sent again. @throws AppError `not_found`, `already_exists`, `name_collides`, `not_a_folder`, `folder_into_itself`, `forbidden` */
    move(from: string, to: string): Promise<Written>;
    /** On the server. @throws AppError as `move` */
    copy(from: string, to: string): Promise<Written>;
    /** A folder with all it holds. @throws AppError `not_found`, `forbidden` */
    delete(path: string): Promise<void>;

    /** What happened, oldest first, up to now. Keep the last `cursor` and go on from there next time. @throws AppError `cursor_invalid` */
    changes(options?: { after?: string }): AsyncIterable<RestChange>;
    /** One page; its `cursor` is the next `after`, also when the page is empty. @throws AppError `cursor_invalid` */
    changesPage(options?: ChangesOptions): Promise<ChangesPage>;

    /**
     * Keeps a local folder and a remote one the same, from now until `close` of what it returns; both are made if they are not there. With `watch: false` nothing
     * runs by itself: see its `once` and `preview`.
     * @throws AppError `data_folder_locked` (another process syncs this folder), `request_invalid` (it overlaps with another synced one), `local_io`
     */
    sync(local: string, remote: string, options?: SyncOptions & { readonly watch?: boolean }): Promise<Sync>;

    /** What the server takes the caller for. */
    whoami(): Promise<Identity>;
    /** The ticket that goes with each request, for use with other HTTP clients. It is a secret and lives for minutes. */
    ticket(): Promise<string>;
    /** SHA-256 of the public keys (SPKI, base64) of which an HTTPS server must show one, as `curl --pinnedpubkey` compares them; none where authorities vouch. */
    pins(): readonly string[];
    /** Milliseconds after which the session ends when nothing is done in it; `null`: it does not. Every request is something done. */
    readonly idleMs: number | null;
    /** Something is done, though it is no request. */
    heard(): void;
    /** Why the session has ended, as far as the server knows; `null`: it has not. To ask is not something done. */
    ended(): Promise<EndReason | null>;
    /** Ends the session on the server and in the profile, then closes. @throws AppError `auth_unreachable` */
    logout(): Promise<void>;
    /** Ends connections and workers. The session lives on: `connect` without a password, or `resume`, goes on with it. */
    close(): Promise<void>;
  };

/**
 * Logs in; without `password` goes on with the session in the profile.
 * @throws AppError `credentials_wrong`, `auth_unreachable`, `server_key_unknown`, `server_key_changed`, `protocol_mismatch`, `too_many_requests`, `busy`; without password `not_logged_in`, `session_unknown`
 */
export async function connect({ username, password, auth, home = defaultHome(), ...contact }: ConnectOptions): Promise<Driftless> {
  if (password === undefined) return resume({ username, auth, home });
  const { login } = await import('./session/session.ts');
  return createDriftless(await login({ auth, username, password, home, ...contact }), home);
}

/**
 * Makes an account and logs it in.
 * @throws AppError `name_taken`, `name_invalid`, `request_invalid` (password too short or long), `registration_closed`, `invite_invalid`, `invite_malformed`, and as `connect`
 */
export async function register({ home = defaultHome(), invite, ...options }: RegisterOptions): Promise<Driftless> {
  const session = await import('./session/session.ts');
  const auth = await session.register({ ...options, invite, home });
  return connect({ ...options, auth, home });
}

/** HOST:PORT of the daemon that the profile was logged in at last, `null` before the first time. @throws AppError `local_io` */
export async function usualDaemon({ home = defaultHome() }: { readonly home?: string | undefined } = {}): Promise<string | null> {
  const [{ openProfile }, known] = await Promise.all([import('./session/profile.ts'), import('./session/known_server.ts')]);
  return known.usualDaemon(await openProfile(home).read());
}

/** Goes on with a session of the profile. @throws AppError `not_logged_in`, `session_unknown`, `auth_unreachable`, `server_key_changed`; interactive also `busy` */
export async function resume({ home = defaultHome(), interactive = false, ...which }: ResumeOptions = {}): Promise<Driftless> {
  const session = await (await import('./session/session.ts')).resume({ home, ...which });
  return createDriftless(interactive ? await session.atPrompt() : session, home);
}

/** Asks with the ticket there is, whatever its age: a new one would be a sign of life. */
async function endOf(session: Session): Promise<EndReason | null> {
  const ticket = async (): Promise<string> => session.lastTicket();
  const http = httpFor({ ...session, pins: () => session.pins(), ticket, refresh: ticket });
  try {
    await http.json(null, 'GET', ROUTES.whoami);
    return null;
  } catch (error) {
    if (error instanceof AppError && error.code === 'ticket_revoked') return error.reason ?? 'lapsed';
    if (error instanceof AppError && error.code === 'ticket_expired') return null;
    throw error;
  } finally {
    await http.close();
  }
}

function defaultHome(): string {
  return join(homedir(), '.driftless');
}

const loadRest = () => import('../Models/rest.ts');
type RestCaller = Caller<Awaited<ReturnType<typeof loadRest>>>;

function createDriftless(session: Session, home: string): Driftless {
  const http = httpFor(session);
  const transfers = openOnce(async () => {
    const { createTransfers } = await import('./transfers.ts');
    return createTransfers({ session, home });
  });

  const call = restCaller(http, loadRest);
  const close = async (): Promise<void> => {
    await Promise.all([http.close(), transfers.close(), session.close()]);
  };
  return {
    username: session.user.name,
    serverUrl: session.serverUrl,
    auth: session.auth,
    idleMs: session.idleMs,
    heard: () => session.heard(),
    ended: () => endOf(session),
    ...fileMethods(call),
    ...contentMethods(http),
    ...transferMethods(transfers.open),
    ...deviceMethods(http, session),
    ...findMethods(http),
    ...accountMethods(http, session),
    ...quotaMethods(http),
    ...sharingMethods(http),
    ...historyMethods(http),
    ...linkMethods(http, session.serverUrl),
    ...eventMethods(http, session),
    ...publishMethods({ session, http, home }),
    ...receiptMethods(http),
    ...webhookMethods(http),
    async sync(local, remote, { watch = true, ...options } = {}) {
      const { openSync } = await import('./sync.ts');
      const sync = await openSync({ session, home }, { local, remote }, options);
      if (watch) sync.start();
      return sync;
    },
    whoami: () => call(({ WhoAmI }) => ({ schema: WhoAmI, method: 'GET', route: ROUTES.whoami })),
    ticket: () => session.ticket(),
    pins: () => session.pins(),
    async logout() {
      await session.logout();
      await close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function fileMethods(call: RestCaller) {
  const listPage = (path: string, options: PageOptions = {}): Promise<RestPage> =>
    call(({ RestPage }) => ({ schema: RestPage, method: 'GET', route: ROUTES.list, query: { path, ...options } }));
  const changesPage = (options: ChangesOptions = {}): Promise<ChangesPage> =>
    call(({ ChangesPage }) => ({ schema: ChangesPage, method: 'GET', route: ROUTES.changes, query: options }));
  const write = (route: 'folders' | 'move' | 'copy', body: unknown): Promise<Written> =>
    call(({ WrittenResult }) => ({ schema: WrittenResult, method: 'POST', route: ROUTES[route], body }));
  return {
    listPage,
    changesPage,
    async *list(path = '/', options: ListOptions = {}) {
      let page = await listPage(path, options);
      yield* page.entries;
      while (page.next !== null) {
        page = await listPage(path, { ...options, after: page.next });
        yield* page.entries;
      }
    },
    async *changes(options: { after?: string } = {}) {
      let page = await changesPage(options);
      yield* page.changes;
      while (page.more) {
        page = await changesPage({ after: page.cursor });
        yield* page.changes;
      }
    },
    entry: (path: string) => call(({ RestEntry }) => ({ schema: RestEntry, method: 'GET', route: ROUTES.entry, query: { path } })),
    createFolder: (path: string) => write('folders', { path }),
    move: (from: string, to: string) => write('move', { from, to }),
    copy: (from: string, to: string) => write('copy', { from, to }),
    delete: (path: string) => call<void>(() => ({ schema: null, method: 'DELETE', route: ROUTES.entry, query: { path } })),
  };
}

function contentMethods(http: Http) {
  return {
    async read(path: string, { start = 0, end, version }: { start?: number; end?: number; version?: number } = {}): Promise<Readable> {
      const ranged = start !== 0 || end !== undefined;
      const isRange = Number.isSafeInteger(start) && start >= 0 && (end === undefined || (Number.isSafeInteger(end) && end > start));
      if (!isRange) throw new AppError('range_invalid', 'a range begins at 0 or later and ends behind its start');
      const headers = ranged ? { range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : {};
      return (await http.stream('GET', ROUTES.files, { query: { path, version }, headers })).body;
    },
    async preview(path: string): Promise<Buffer> {
      return buffer((await http.stream('GET', ROUTES.preview, { query: { path } })).body);
    },
  };
}

function transferMethods(open: () => Promise<ReturnType<typeof createTransfers>>) {
  const put: Driftless['put'] = async (sources, options) => (await open()).put([...sources], options);
  const get: Driftless['get'] = async (sources, options) => (await open()).get([...sources], options);
  return {
    put,
    get,
    upload: async (local: string, remote: string, options?: TransferOptions) => orItsFailure(await put([{ local, remote }], options)),
    download: async (remote: string, local: string, options?: TransferOptions) => orItsFailure(await get([{ remote, local }], options)),
  };
}

/** A transfer of which nothing succeeded has failed: a caller who looks at no report must not take it for done. */
function orItsFailure(report: TransferReport): TransferReport {
  const [first] = report.failures;
  if (first === undefined || report.files + report.unchanged > 0) return report;
  throw new AppError(first.code, failureText(first));
}

function openOnce<T extends { close(): Promise<void> }>(open: () => Promise<T>): { open: () => Promise<T>; close: () => Promise<void> } {
  let opened: Promise<T> | undefined;
  return {
    open: () => {
      opened ??= open();
      return opened;
    },
    close: async () => (await opened)?.close(),
  };
}
