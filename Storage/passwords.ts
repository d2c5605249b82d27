import type { Ksf } from '../Models/datagram_fields.ts';

export type PasswordChange = {
  readonly userId: string;
  readonly provenDigest: Uint8Array; // SHA-256 of the record whose password was proved
  readonly record: Buffer; // the new one, 192 bytes
  readonly ksf: Ksf;
  readonly endSessions: boolean; // of the user, but for `exceptSessions`
  readonly exceptSessions: readonly string[];
  readonly atMs: number;
};

/** Contract: Storage/testing/passwords_contract.ts. Errors as of Accounts. */
export interface Passwords {
  /**
   * The new record, and the end of the sessions, in one transaction. `same`: this record is there already, then nothing is written; `stale`: the account
   * has another record than the proven one, or is gone, then nothing is written either.
   */
  changePassword(change: PasswordChange): Promise<'changed' | 'same' | 'stale'>;
}
