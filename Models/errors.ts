import type { EndReason } from './session_ends.ts';

/**
 * Every failure that crosses a boundary has one of these codes; branch on the code, never on the message.
 * `docs/PROTOCOL.md` lists them with their meaning, `Server/http_errors.ts` gives the HTTP status, `Models/exit_codes.ts` the exit code.
 */
export const ERROR_CODES = [
  // who you are
  'credentials_wrong', // unknown user or wrong password: never told apart
  'name_taken', // registration: the user name exists
  'registration_closed', // registration is not open to this address
  'invite_invalid', // registration: the invitation code is unknown, used up or expired, never told apart
  'invite_malformed', // it is none: a part is missing or mistyped
  'ticket_missing',
  'ticket_invalid', // forged, truncated, wrong issuer, audience or type
  'ticket_expired',
  'ticket_revoked', // logged out, or the session lapsed
  'session_unknown', // renewal refused: log in again
  'not_logged_in', // the client has no session for this server
  'server_key_unknown', // first contact with a daemon elsewhere whose key nobody has confirmed
  'server_key_changed', // the daemon's key is not the one seen first: hard stop
  'server_certificate_changed', // the HTTPS server holds none of the keys that the daemon told of: hard stop
  'protocol_mismatch', // the two sides speak different versions
  'auth_unreachable', // no answer from the daemon within the time
  'busy', // overloaded, retry later
  // what you asked for
  'not_found', // also: exists, but not for you
  'forbidden', // you can see it, your role does not allow this
  'name_invalid',
  'path_invalid',
  'name_collides', // another entry's name folds to the same key
  'already_exists',
  'not_a_folder',
  'not_a_file',
  'not_text', // asked for as text, and it is something else
  'not_empty', // a folder that was to be deleted only if nothing is in it
  'folder_into_itself',
  'type_refused', // an administrator does not allow files of this kind
  'quota_exceeded', // more than the owner of the space may store
  'version_stale', // the entry changed since the version this was based on
  'deletes_held', // so many deletes by one device that a person must approve them first
  'owner_offline', // who published the file is not connected now
  'user_unknown', // invitation to nobody
  'invitation_invalid', // to oneself, of a member, already answered
  'cursor_invalid',
  'request_invalid', // malformed body, query or header
  'content_type_unsupported',
  'range_invalid',
  'method_unknown',
  // bytes
  'digest_mismatch', // the bytes are not the ones the digest names
  'length_mismatch', // body shorter or longer than declared
  'chunk_missing', // refers to a chunk that was not sent or that you cannot read
  'frame_invalid', // malformed frame in a push, pull or tree stream
  'upload_interrupted', // the request ended before its end
  'file_changed', // a file changed while it was read, or since it was announced
  'local_io', // the local file system refused
  // limits and machine
  'too_large', // over a limit of Models/limits.ts
  'too_many_requests',
  'storage_full', // no space left on the server
  'storage_unavailable', // the store cannot be read or written now
  'corrupt', // stored bytes are not what they were
  'data_folder_locked', // another process uses this data folder
  'data_folder_unusable', // missing rights, not a folder, unknown format
  'port_in_use',
  'config_invalid',
  'server_unreachable',
  'cancelled',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** What is known of a failure beside its code. */
type Circumstances = {
  /** Why the session has ended: of `ticket_revoked` and `session_unknown`. */
  readonly reason?: EndReason | undefined;
  /** When trying again may help: of `busy`. */
  readonly retryAfterMs?: number | undefined;
};

/** A failure with a typed code. `message` is for a person and holds no secret. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly reason: EndReason | undefined;
  readonly retryAfterMs: number | undefined;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions & Circumstances) {
    super(message, options);
    this.code = code;
    this.reason = options?.reason;
    this.retryAfterMs = options?.retryAfterMs;
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && (ERROR_CODES as readonly string[]).includes(value);
}

/** Ends every switch over a union: a new member does not compile until it is handled. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
