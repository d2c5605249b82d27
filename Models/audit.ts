import type { WireError } from './datagrams.ts';
import type { ErrorCode } from './errors.ts';

/** What is written down for administrators, and what each kind means; README.md lists them. */
export const AUDIT_KINDS = {
  login: 'somebody signed in, or was refused',
  renewal: 'a session asked for a new ticket and was refused',
  logout: 'a user ended a session of theirs',
  session_ended: 'a session ended otherwise; the detail says why',
  registration: 'somebody made an account, or was refused',
  password_changed: 'a user changed their password, or was refused',
  profile_changed: 'a user changed their display name or e-mail address',
  device_renamed: 'a user gave a device another name',
  device_revoked: 'a user sent a device away',
  ticket: 'the file server refused a ticket that is no ticket of ours, or whose session has ended',
  forbidden: 'somebody who is no administrator asked for what administrators may do',
  link_password: 'a wrong password for a public link',
  limits_changed: 'quota, file size or allowed file types were set',
  user_added: 'an administrator made an account',
  user_disabled: 'an administrator disabled an account',
  user_enabled: 'an administrator enabled an account again',
  user_deleted: 'an administrator deleted an account',
  role_changed: 'an administrator gave an account another role',
  password_reset: 'an administrator reset a password',
  users_imported: 'an administrator imported accounts',
  invite_code_made: 'an administrator made an invitation code',
  invite_code_withdrawn: 'an administrator took an invitation code back',
  keys_rotated: 'the keys that sign tickets were changed',
  certificate_changed: 'the certificate of the server was changed',
  audit_lost: 'so many entries could not be written',
} as const;
export type AuditKind = keyof typeof AUDIT_KINDS;

/** The processes that write it. */
export type AuditProcess = 'auth' | 'server' | 'admin';

/** `ok`, or the code of the refusal. */
export type AuditResult = 'ok' | ErrorCode | WireError;
