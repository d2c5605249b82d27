import type { Principal } from './metadata.ts';

/** Whom a publication is for, beside its owner. `path` is that of a shared folder in the owner's tree: its members, as they are when it matters. */
export type Audience =
  | { readonly kind: 'everyone' }
  | { readonly kind: 'users'; readonly users: readonly { readonly id: string; readonly name: string }[] }
  | { readonly kind: 'space'; readonly path: string };

/** A set of files that one device announces. */
export type Publication = Principal & { readonly id: string /* 32 hex digits */; readonly name: string };

/** `readers`: user ids, the owner's among them. */
export type Told = { readonly publication: Publication; readonly readers: 'everyone' | readonly string[] };

export type AnnouncedFile = { readonly path: string /* relative */; readonly size: number; readonly digest: Buffer /* SHA-256 */ };
export type PublishedFile = AnnouncedFile & { readonly publication: Publication; readonly announcedAtMs: number };

export type OwnPublication = Publication & {
  readonly audience: 'everyone' | 'users' | 'space';
  readonly users: readonly string[]; // names
  readonly files: number;
  readonly bytes: number;
};

export type PublishedQuery = {
  readonly id: string | null;
  readonly user: string | null; // name of the owner
  readonly name: string | null; // path of a file, or the publication's name, a slash and that
  readonly own: boolean;
  readonly after: string | null;
  readonly limit: number;
};
export type PublishedPage = { readonly files: readonly PublishedFile[]; readonly next: string | null };

export type Fetch = {
  readonly id: string; // 32 hex digits
  readonly name: string; // of the publication, a slash, and the path
  readonly size: number;
  readonly digest: Buffer;
  readonly user: string;
  readonly device: string;
  readonly start: number;
  readonly length: number;
  readonly sent: number | null; // null: it runs, or the server ended meanwhile
  readonly atMs: number;
};

/**
 * What devices announce. Nothing of the content is here. Rights are asked anew on each use: who may not fetch a file is told nothing of it,
 * neither by a list nor by an error. All methods may throw AppError `storage_full`, `storage_unavailable`.
 */
export type Publications = {
  /**
   * Makes the publication of this name on the caller's device, or gives the one there is this audience.
   * @throws AppError `name_invalid`, `path_invalid`, `not_found` (no shared folder at the path), `too_large` (too many)
   */
  open(who: Principal, wanted: { readonly name: string; readonly audience: Audience }): Promise<Publication>;
  /** One of the caller's device. @throws AppError `not_found` */
  own(who: Principal, id: string): Promise<Publication>;
  /** All of the user, of every device. */
  ofUser(who: Principal): Promise<OwnPublication[]>;
  /**
   * Files that are new or have another content, and files that are none any more.
   * @throws AppError `not_found` (no publication of the caller's device), `name_invalid`, `path_invalid`, `too_large`
   */
  announce(
    who: Principal,
    id: string,
    change: { readonly files: readonly AnnouncedFile[]; readonly gone: readonly string[] },
  ): Promise<void>;
  /** Nothing of it is announced any more. By its user, from any device. @throws AppError `not_found` */
  withdraw(who: Principal, id: string): Promise<Publication>;
  /** What the caller may fetch, by owner, publication and path. @throws AppError `cursor_invalid` */
  list(who: Principal, query: PublishedQuery): Promise<PublishedPage>;
  /** `null`: there is none, or none for the caller. */
  find(who: Principal, file: { readonly id: string; readonly path: string }): Promise<PublishedFile | null>;
  /** Whom it is for now; `null` once it was withdrawn. */
  toldOf(id: string): Promise<Told | null>;
  /** Notes that somebody fetches. @returns to be called once with the bytes that were given on */
  noteFetch(
    who: Principal,
    file: PublishedFile,
    part: { readonly start: number; readonly length: number },
  ): Promise<(sent: number) => Promise<void>>;
  /** What was fetched of the caller's files, newest first. @throws AppError `cursor_invalid` */
  fetches(
    who: Principal,
    page: { readonly after: string | null; readonly limit: number },
  ): Promise<{ fetches: Fetch[]; next: string | null }>;
};
