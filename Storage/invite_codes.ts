import type { Account } from './account.ts';

/** What lets somebody register from elsewhere. Who knows the 16 random bytes may; only their SHA-256 is stored. */
export type InviteCode = {
  readonly digest: Buffer; // SHA-256 of the secret
  readonly usesLeft: number;
  readonly expiresAtMs: number;
  readonly quotaBytes: number | null; // of whoever registers with it; null: as for everybody
  readonly label: string | null; // whom it is for, for people
  readonly madeBy: string; // for people
  readonly madeAtMs: number;
};

/** What the HTTP server may know of it. */
export interface InvitedReader {
  /** What the user's invitation allows them to store, in bytes; `null`: it says nothing of that, or there was none. */
  invitedQuota(userId: string): Promise<number | null>;
}

/** Contract: Storage/testing/invite_codes_contract.ts. Errors as of Accounts. */
export interface InviteCodes {
  /** Also forgets codes that expired so long before this one was made that nobody asks for them any more. */
  addInviteCode(code: InviteCode): Promise<void>;
  /** Of all that were not withdrawn those that are good at this time, then the used up and expired ones; each the newest first; at most 1000. */
  inviteCodes(atMs: number): Promise<InviteCode[]>;
  /** The code whose digest begins so, however many there are. */
  findInviteCode(id: Uint8Array): Promise<InviteCode | null>;
  /** Nobody registers with it any more; who has, stays. @returns false when there is no such code */
  withdrawInviteCode(digest: Uint8Array): Promise<boolean>;
  /** Would it do for one more account? */
  isInviteGood(digest: Uint8Array, atMs: number): Promise<boolean>;
  /**
   * As `addAccount`, but for a use of the code, taken in the same transaction: of several at once with one use left exactly one is made.
   * The same record once more is the same registration and takes nothing.
   * @returns `null`, and nothing is written, when the code is unknown, used up or expired
   */
  addInvited(account: Account, invite: { readonly digest: Uint8Array; readonly atMs: number }): Promise<Account | null>;
}
