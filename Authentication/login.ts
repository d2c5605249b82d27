import { prepareUserName } from '../Models/credentials.ts';
import { decodeText, encodeKsf } from '../Models/datagram_fields.ts';
import { encodeError, packFields, TEXTS, unpackFields, type WireError } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { transcriptOf } from '../Models/handshake.ts';
import { foldName } from '../Models/names.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Account } from '../Storage/account.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { AuthLog } from './auth_log.ts';
import { openBox } from './box.ts';
import type { Grants } from './grants.ts';
import type { GuessLimit } from './guess_limit.ts';
import { isLater, type Later } from './later.ts';
import { forgiveGuess, provenLogin, recordDigest } from './login_proof.ts';
import type { OpaqueServer } from './opaque_server.ts';
import type { PlausibleKsf } from './plausible_ksf.ts';
import type { SealedStates } from './sealed_state.ts';
import type { Secrets } from './secrets.ts';
import { type OpeningDeps, openSession } from './session_opening.ts';
import type { Incoming } from './source.ts';
import type { UnfinishedLogins } from './unfinished_logins.ts';

export type LoginDeps = OpeningDeps & {
  readonly accounts: Pick<Accounts, 'accountForLogin' | 'accountById'>;
  readonly secrets: Secrets;
  readonly opaque: OpaqueServer;
  readonly states: SealedStates;
  readonly grants: Grants;
  readonly guessLimit: GuessLimit;
  readonly plausibleKsf: Pick<PlausibleKsf, 'of'>;
  readonly log: AuthLog;
  readonly audit: Pick<Audit, 'record'>;
  readonly unfinished: UnfinishedLogins;
  readonly now: () => number;
};

const NOBODY = new Uint8Array(16);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function preparedOrNull(name: string): string | null {
  try {
    return prepareUserName(name);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

type Caller = { readonly account: Account | null; readonly userId: Uint8Array; readonly device: Uint8Array | null };

/** The account, or `null` for the dummy: unknown and disabled users take the very same path. The device, if it shows that the user has logged in from it: never one of the dummy. */
async function callerOf(
  deps: LoginDeps,
  prepared: string | null,
  { deviceId, deviceProof: proof }: { deviceId: Uint8Array; deviceProof: Uint8Array },
): Promise<Caller> {
  const { account, deviceSinceMs } = await deps.accounts.accountForLogin(prepared ?? '', hex(deviceId));
  const userId = account.disabled ? NOBODY : Buffer.from(account.id, 'hex');
  const isProven = deps.grants.isDeviceProof({ userId, deviceId, sinceMs: deviceSinceMs ?? 0, proof });
  const isKnown = deviceSinceMs !== null && isProven && !account.disabled;
  return { account: account.disabled ? null : account, userId, device: isKnown ? deviceId : null };
}

/** HELLO to CHALLENGE. Nothing is kept but the count. @returns `null` (silence) for what no client of ours sends */
export async function answerHello(deps: LoginDeps, { datagram, bytes, source }: Incoming<'hello'>): Promise<Uint8Array | Later | null> {
  const issuedAtMs = deps.now();
  const box = openBox(deps.secrets, datagram, bytes);
  const fields = box === null ? null : unpackFields(TEXTS.hello, box.text);
  const name = fields === null ? null : decodeText(fields.name);
  if (box === null || fields === null || name === null) return null;
  const prepared = preparedOrNull(name);
  const foldedName = foldName(prepared ?? name); // whether there is such a user or not
  const { account, userId, device } = await callerOf(deps, prepared, fields);
  const { counter, waitMs } = await deps.guessLimit.spend({ foldedName, device, request: fields.ke1 });
  if (waitMs > 0) {
    deps.audit.record({ what: 'login', result: 'too_many_requests', userId: account?.id ?? null, address: source.address });
    return { retryAfterMs: waitMs };
  }
  const record = account?.record ?? deps.secrets.dummyRecord;
  const started = await deps.opaque.startLogin({ record, ke1: fields.ke1, user: foldedName });
  if (started === null) return null; // not a valid KE1
  const { ke2, state: opaque } = started;
  const plausible = deps.plausibleKsf.of(foldedName); // drawn in any case, so that it costs the same
  const ksf = encodeKsf(account?.ksf ?? plausible);
  const state = deps.states.seal(
    { issuedAtMs, userId, counter, record: recordDigest(record), transcript: transcriptOf(p, { hello: bytes, ke2, ksf }), opaque },
    datagram.transaction,
    source,
  );
  deps.unfinished.begun(state, { userId: account?.id ?? null, source });
  return box.reply('challenge', packFields(TEXTS.challenge, { ke2, ksf, state }));
}

/** FINISH to TICKET. Session, ticket and reply come from the handshake alone, so doing it again gives the same ones. */
export async function answerFinish(deps: LoginDeps, { datagram, bytes, source }: Incoming<'finish'>): Promise<Uint8Array | Later | null> {
  const { transaction } = datagram;
  const { address } = source;
  const refused = (result: WireError, userId: string | null): Uint8Array => {
    deps.audit.record({ what: 'login', result, userId, address });
    return encodeError(transaction, result);
  };
  const proven = await provenLogin(deps, { datagram, bytes, source });
  if (proven === null) return null;
  if ('refused' in proven) return refused(proven.refused, proven.userId);
  const { login, account, keys, text } = proven;
  const fields = unpackFields(TEXTS.finish, text);
  const deviceName = fields === null ? null : decodeText(fields.deviceName);
  if (fields === null || deviceName === null) return null;
  const deviceId = hex(fields.deviceId);
  const session = { id: hex(keys.sessionId), userId: account.id, deviceId, deviceName, provenDigest: login.record, atMs: deps.now() };
  const [opened] = await Promise.all([openSession(deps, session), forgiveGuess(deps, proven)]);
  deps.unfinished.finished(datagram.state);
  const who = { userId: account.id, userName: account.name, deviceId, address };
  if (opened === null) return refused('login_expired', account.id); // the password was changed meanwhile
  if (isLater(opened)) {
    deps.audit.record({ what: 'login', result: 'busy', ...who });
    return opened;
  }
  if (opened.state === 'ended' || opened.userDisabled) return refused('session_unknown', account.id);
  if (opened.userId !== account.id || opened.deviceId !== deviceId) return null;
  deps.log.info({ user: account.id, session: session.id, device: deviceId, source: source.address }, 'login');
  deps.audit.record({ what: 'login', result: 'ok', ...who });
  return deps.grants.datagram({ session: opened, issuedAtMs: login.issuedAtMs, key: keys.ticket, transaction, request: bytes });
}
