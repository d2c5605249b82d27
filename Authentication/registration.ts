import { hash, randomBytes } from 'node:crypto';
import { prepareUserName } from '../Models/credentials.ts';
import { decodeText, encodeKsf, type Ksf } from '../Models/datagram_fields.ts';
import { encodeError, packFields, TEXTS, unpackFields, type WireError } from '../Models/datagrams.ts';
import { AppError, assertNever } from '../Models/errors.ts';
import { foldName } from '../Models/names.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { AuthLog } from './auth_log.ts';
import { openBox } from './box.ts';
import type { GuessLimit } from './guess_limit.ts';
import type { Later } from './later.ts';
import type { OpaqueServer } from './opaque_server.ts';
import type { RateLimit } from './rate_limit.ts';
import type { Secrets } from './secrets.ts';
import { type Incoming, isLoopback, type Source, sourceGroup } from './source.ts';

/** Who may make an account: from this machine freely and from elsewhere by code; by code only; anybody; nobody. */
export const REGISTRATION_MODES = ['local', 'invite', 'open', 'closed'] as const;
export type RegistrationMode = (typeof REGISTRATION_MODES)[number];

export type RegistrationDeps = {
  readonly accounts: Pick<Accounts, 'findAccount' | 'addAccount' | 'addInvited' | 'isInviteGood'>;
  readonly registration: RegistrationMode;
  readonly secrets: Secrets;
  readonly opaque: Pick<OpaqueServer, 'register'>;
  readonly guessLimit: Pick<GuessLimit, 'spendOnRegistration' | 'forget'>;
  /** By source: accounts that are made without a code from elsewhere. */
  readonly accountWaitMs: RateLimit;
  readonly ksf: Ksf;
  readonly log: AuthLog;
  readonly audit: Pick<Audit, 'record'>;
  readonly now: () => number;
};

/** @returns the name only if it stands in its one form already, as clients send it */
function nameIn(field: Uint8Array): string | null {
  const name = decodeText(field);
  if (name === null) return null;
  try {
    return prepareUserName(name) === name ? name : null;
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

function refusal(deps: RegistrationDeps, { datagram, source }: Incoming<'register' | 'enrol'>, error: WireError): Uint8Array {
  deps.audit.record({ what: 'registration', result: error, address: source.address });
  return encodeError(datagram.transaction, error);
}

/** @returns the hash that is stored of the code, or `null` for none */
function inviteDigest(code: Uint8Array): Uint8Array | null {
  return code.every((byte) => byte === 0) ? null : hash('sha256', code, 'buffer');
}

function mayRegister(mode: RegistrationMode, source: Source, hasCode: boolean): boolean {
  switch (mode) {
    case 'open':
      return true;
    case 'closed':
      return false;
    case 'invite':
      return hasCode;
    case 'local':
      return hasCode || isLoopback(source);
    default:
      return assertNever(mode);
  }
}

function later(deps: RegistrationDeps, { source }: Incoming<'register' | 'enrol'>, retryAfterMs: number): Later {
  deps.audit.record({ what: 'registration', result: 'too_many_requests', address: source.address });
  return { retryAfterMs };
}

/** REGISTER to REGISTRATION. The answer depends on name and request alone, so nothing is kept but the count. */
export async function answerRegister(deps: RegistrationDeps, incoming: Incoming<'register'>): Promise<Uint8Array | Later | null> {
  if (deps.registration === 'closed') return refusal(deps, incoming, 'registration_closed');
  const box = openBox(deps.secrets, incoming.datagram, incoming.bytes);
  const fields = box === null ? null : unpackFields(TEXTS.register, box.text);
  if (box === null || fields === null) return null;
  const invite = inviteDigest(fields.code);
  if (!mayRegister(deps.registration, incoming.source, invite !== null)) return refusal(deps, incoming, 'registration_closed');
  // Before anything is told about names. The use is taken by ENROL.
  if (invite !== null && !(await deps.accounts.isInviteGood(invite, deps.now()))) return refusal(deps, incoming, 'invite_invalid');
  const name = nameIn(fields.name);
  if (name === null) return refusal(deps, incoming, 'name_invalid');
  if ((await deps.accounts.findAccount(name)) !== null) return refusal(deps, incoming, 'name_taken');
  const foldedName = foldName(name);
  const { waitMs } = await deps.guessLimit.spendOnRegistration({ foldedName, request: fields.request });
  if (waitMs > 0) return later(deps, incoming, waitMs);
  const response = await deps.opaque.register({ request: fields.request, user: foldedName });
  if (response === null) return null; // not a valid request
  return box.reply('registration', packFields(TEXTS.registration, { response, ksf: encodeKsf(deps.ksf) }));
}

/** ENROL to ENROLLED: durable when answered. The same record once more is the same registration. */
export async function answerEnrol(deps: RegistrationDeps, incoming: Incoming<'enrol'>): Promise<Uint8Array | Later | null> {
  if (deps.registration === 'closed') return refusal(deps, incoming, 'registration_closed');
  const box = openBox(deps.secrets, incoming.datagram, incoming.bytes);
  const fields = box === null ? null : unpackFields(TEXTS.enrol, box.text);
  if (box === null || fields === null) return null;
  const invite = inviteDigest(fields.code);
  if (!mayRegister(deps.registration, incoming.source, invite !== null)) return refusal(deps, incoming, 'registration_closed');
  const name = nameIn(fields.name);
  if (name === null) return refusal(deps, incoming, 'name_invalid');
  const record = Buffer.from(fields.record);
  const ksf = Buffer.from(fields.ksf);
  if (!ksf.equals(encodeKsf(deps.ksf))) return refusal(deps, incoming, 'login_expired');
  const waitMs = invite === null && !isLoopback(incoming.source) ? deps.accountWaitMs(sourceGroup(incoming.source)) : 0;
  if (waitMs > 0) return later(deps, incoming, waitMs);
  const id = randomBytes(16).toString('hex');
  const account = { id, name, role: 'user' as const, disabled: false, record, ksf: deps.ksf };
  const atMs = deps.now();
  const stored = await (invite === null
    ? deps.accounts.addAccount(account, atMs)
    : deps.accounts.addInvited(account, { digest: invite, atMs }));
  if (stored === null) return refusal(deps, incoming, 'invite_invalid');
  if (!stored.record.equals(record)) return refusal(deps, incoming, 'name_taken');
  if (stored.id === id) {
    await deps.guessLimit.forget(foldName(name)); // guesses at what was nobody's password
    const { address } = incoming.source;
    deps.log.info({ user: id, name, source: address }, 'registered');
    const detail = invite === null ? {} : { detail: 'with an invitation code' };
    deps.audit.record({ what: 'registration', result: 'ok', userId: id, userName: name, address, ...detail });
  }
  return box.reply('enrolled', packFields(TEXTS.enrolled, { userId: Buffer.from(stored.id, 'hex') }));
}
