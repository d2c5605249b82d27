import type { LinkAction, LinkMode, LinkState } from '../Models/links.ts';
import type { Principal } from './metadata.ts';

export type NewLink = {
  readonly tokenHash: Buffer; // SHA-256
  readonly path: string; // the maker's
  readonly mode: LinkMode;
  readonly password: string | null; // hashed
  readonly expiresAtMs: number | null;
  readonly usesMax: number | null;
};

/** A link as those see it who manage it. */
export type ManagedLink = {
  readonly id: string; // 32 hex digits
  readonly maker: string; // user name
  readonly mode: LinkMode;
  readonly state: LinkState;
  /** Where the caller sees what it leads to; for a link to a folder above a shared one of the caller's, that shared one. `null` if it is gone. */
  readonly path: string | null;
  readonly hasPassword: boolean;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly usesMax: number | null;
  readonly uses: number;
};

/** What a token is good for at this moment, by the rights that the link's maker has at this moment. */
export type OpenLink = {
  readonly id: string;
  readonly maker: { readonly userId: string; readonly userName: string };
  readonly mode: LinkMode;
  readonly node: number;
  readonly name: string;
  readonly kind: 'file' | 'folder';
  readonly mayWrite: boolean;
  readonly password: string | null; // hashed
  readonly usesMax: number | null;
  readonly usedUp: boolean;
};

export type Access = {
  readonly action: LinkAction;
  readonly address: string;
  readonly path: string; // below the link
  readonly content: string | null; // content id given out, hex
  /** Goes on with what the same address did with the same content within `LIMITS.linkUseWindowMs`, if it did; that is no new use. */
  readonly joins: boolean;
  /** Takes one of the uses if they are limited. */
  readonly counts: boolean;
};
export type LoggedAccess = Omit<Access, 'joins' | 'counts'> & {
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  readonly requests: number;
  readonly bytes: number; // of content
};

/**
 * Public links. Their rights are never stored: a link can do what its maker can do now. All methods throw AppError.
 * Contract: Storage/testing/links_contract.ts, run on SQLite and on PostgreSQL.
 */
export type Links = {
  /** @throws AppError `not_found`, `path_invalid` (a whole home), `not_a_file` (a symlink), `not_a_folder` (uploads to a file), `forbidden` (uploads by a viewer), `too_large` (too many links) */
  create(principal: Principal, link: NewLink): Promise<ManagedLink>;
  /**
   * The caller's own links and all that show something of a space that the caller owns, the newest first, whatever their state.
   * @param query path: only those that show what is at or below it, or lead to something above it; after: from the previous page
   * @throws AppError `not_found`, `cursor_invalid`
   */
  managed(
    principal: Principal,
    query: { readonly path: string | null; readonly after: string | null; readonly limit: number },
  ): Promise<{ readonly links: ManagedLink[]; readonly next: string | null }>;
  /** At once, whoever of those that `managed` shows it to asks; again changes nothing. @throws AppError `not_found` */
  revoke(principal: Principal, id: string): Promise<void>;
  /** The newest first, at most `LIMITS.linkLogRowsMax`. @throws AppError `not_found` */
  accesses(principal: Principal, id: string): Promise<LoggedAccess[]>;

  /** `null` for a token that nobody made, or whose link expired, was revoked, or leads to nothing that its maker can read. */
  find(tokenHash: Buffer): Promise<OpenLink | null>;
  /**
   * Notes an access, and takes a use where it counts. Of two that would take the last use one gets it.
   * @returns its number for `end`; `null` if the link is not open any more or has no uses left, with nothing noted
   */
  begin(linkId: string, access: Access): Promise<number | null>;
  /** @param bytes of content given out or taken in */
  end(linkId: string, access: number, bytes: number): Promise<void>;
  /** As if it had not begun: for an upload that failed. */
  undo(linkId: string, access: number): Promise<void>;
};
