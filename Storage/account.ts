import type { Ksf } from '../Models/datagram_fields.ts';

/** Somebody who can log in. The id is 32 hex digits. */
export type Account = {
  readonly id: string;
  readonly name: string; // prepared by Models/credentials.ts
  readonly role: 'user' | 'admin';
  readonly disabled: boolean;
  readonly record: Buffer; // OPAQUE registration record, 192 bytes
  readonly ksf: Ksf; // what the client stretched the password with
};
