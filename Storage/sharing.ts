import type { Role } from '../Models/operations.ts';
import type { Principal } from './principal.ts';

/** `expired` is never stored: it is what a pending invitation is from its time on. */
export type InvitationState = 'pending' | 'accepted' | 'declined' | 'expired' | 'revoked';

export type Invitation = {
  readonly id: string; // 32 hex digits, random
  readonly folderName: string;
  readonly from: string;
  readonly to: string;
  readonly role: Role;
  readonly state: InvitationState;
  readonly message: string | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null; // null: never, as those of older versions
  readonly answeredAtMs: number | null; // accepted, declined or taken back
};

export type InviteRequest = {
  readonly path: string;
  readonly userId: string;
  readonly userName: string;
  readonly role: Role;
  readonly message: string | null;
  readonly lifetimeMs?: number; // from now; the usual time if not given
};

/** `inherited`: the role comes with the shared folder that this one is in; nothing that was given here says as much. */
export type Member = { readonly user: string; readonly role: Role; readonly state: 'member' | 'invited'; readonly inherited: boolean };

/**
 * Who may do what in shared folders. A role is what the member was given there, or more where the folder is inside another shared folder and
 * the member's role in that one is more. It is looked up at every use, so what changes here holds from the next request on.
 *
 * The first owner is whoever's folder it was: their quota counts, they cannot leave, be removed or get another role, and when they delete the
 * folder it is gone for everybody. Other owners invite, give roles and take members away. What the caller cannot read is `not_found`.
 */
export interface Sharing {
  /**
   * Makes the folder a space of its own if it is not one, keeping node ids. The user who is invited sees nothing of it before they accept.
   * @throws AppError `forbidden` (not an owner), `invitation_invalid` (oneself, a member, invited already, the whole home), `not_a_folder`, `too_large`
   */
  invite(principal: Principal, request: InviteRequest): Promise<Invitation>;
  /** To the caller, and those that the caller made or that are to a folder whose owner the caller is; answered ones for a while. Newest last. */
  invitations(principal: Principal): Promise<{ received: Invitation[]; sent: Invitation[] }>;
  /**
   * @param at the path it gets, in the caller's home; if not given `/NAME`, with ` (2)` and so on if that is taken
   * @returns where it is
   * @throws AppError `invitation_invalid` (answered, expired, taken back, or the folder is deleted), `already_exists`, `name_collides`, `forbidden` (`at` is in a shared folder)
   */
  accept(principal: Principal, id: string, at?: string): Promise<{ path: string }>;
  /** By the invited user: declined. By the one who made it or an owner of the folder: taken back. @throws AppError `not_found`, `invitation_invalid` */
  decline(principal: Principal, id: string): Promise<void>;
  /** @throws AppError `forbidden` for the first owner, and where the folder came with the one it is in */
  leave(principal: Principal, path: string): Promise<void>;
  /** Members and invited users of the space that the path is in. */
  members(principal: Principal, path: string): Promise<Member[]>;
  /**
   * Gives a member, or who is invited, another role in the shared folder at `path`.
   * @throws AppError `forbidden` (not an owner; the first owner's role; not more than what comes with the outer folder), `user_unknown` (neither member nor invited)
   */
  setRole(principal: Principal, request: { path: string; userId: string; role: Role }): Promise<Member>;
  /**
   * Takes an open invitation back, or ends a membership.
   * @throws AppError `forbidden` (not an owner; the first owner; a membership that comes with the outer folder), `user_unknown`
   */
  uninvite(principal: Principal, request: { path: string; userId: string }): Promise<void>;
}
