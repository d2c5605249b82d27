import { server } from '@serenity-kit/opaque';
import { prepareUserName } from '../Models/credentials.ts';
import { decodeText, encodeKsf, type Ksf } from '../Models/datagram_fields.ts';
import { beforeLast, type ClientDatagram, encodeError, packFields, TEXTS, unpackFields } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { loginKeys, transcriptOf, unseal } from '../Models/handshake.ts';
import { foldName } from '../Models/names.ts';
import type { Account, Accounts } from '../Storage/accounts.ts';
import type { AuthLog } from './auth_log.ts';
import { openBox } from './box.ts';
import type { Grants } from './grants.ts';
import { nodePrimitives as p } from './node_primitives.ts';
import type { SealedStates } from './sealed_state.ts';
import type { Secrets } from './secrets.ts';
import type { Source } from './source.ts';

export type LoginDeps = {
  readonly accounts: Pick<Accounts, 'accountForLogin' | 'accountById' | 'openSession'>;
  readonly secrets: Secrets;
  readonly states: SealedStates;
  readonly grants: Grants;
  readonly ksf: Ksf;
  readonly log: AuthLog;
  readonly now: () => number;
};
type Incoming<K extends 'hello' | 'finish'> = { readonly datagram: ClientDatagram<K>; readonly bytes: Uint8Array; readonly source: Source };

const NOBODY = new Uint8Array(16);
const text64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const bytes64 = (text: string): Uint8Array => Buffer.from(text, 'base64url');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function preparedOrNull(name: string): string | null {
  try {
    return prepareUserName(name);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

/** The account, or `null` for the dummy: unknown and disabled users take the very same path. */
async function accountOf(deps: LoginDeps, prepared: string | null): Promise<Account | null> {
  const account = await deps.accounts.accountForLogin(prepared ?? '');
  return account.disabled ? null : account;
}

/** HELLO to CHALLENGE. Nothing is kept. @returns `null` (silence) for what no client of ours sends */
export async function answerHello(deps: LoginDeps, { datagram, bytes, source }: Incoming<'hello'>): Promise<Uint8Array | null> {
  const issuedAtMs = deps.now();
  const box = openBox(deps.secrets, datagram, bytes);
  const fields = box === null ? null : unpackFields(TEXTS.hello, box.text);
  const name = fields === null ? null : decodeText(fields.name);
  if (box === null || fields === null || name === null) return null;
  const prepared = preparedOrNull(name);
  const account = await accountOf(deps, prepared);
  let started: ReturnType<typeof server.startLogin>;
  try {
    started = server.startLogin({
      serverSetup: deps.secrets.opaqueSetup,
      registrationRecord: text64(account?.record ?? deps.secrets.dummyRecord),
      startLoginRequest: text64(fields.ke1),
      userIdentifier: foldName(prepared ?? name), // whether there is such a user or not
    });
  } catch {
    return null; // not a valid KE1
  }
  const ke2 = bytes64(started.loginResponse);
  const ksf = encodeKsf(account?.ksf ?? deps.ksf);
  const state = deps.states.seal(
    {
      issuedAtMs,
      userId: account === null ? NOBODY : Buffer.from(account.id, 'hex'),
      transcript: transcriptOf(p, { hello: bytes, ke2, ksf }),
      opaque: bytes64(started.serverLoginState),
    },
    datagram.transaction,
    source,
  );
  return box.reply('challenge', packFields(TEXTS.challenge, { ke2, ksf, state }));
}

function finishOpaque(opaque: Uint8Array, ke3: Uint8Array): Uint8Array | null {
  try {
    return bytes64(server.finishLogin({ serverLoginState: text64(opaque), finishLoginRequest: text64(ke3) }).sessionKey);
  } catch {
    return null; // the other side does not know the password
  }
}

/** FINISH to TICKET. Session, ticket and reply come from the handshake alone, so doing it again gives the same ones. */
export async function answerFinish(deps: LoginDeps, { datagram, bytes, source }: Incoming<'finish'>): Promise<Uint8Array | null> {
  const { transaction } = datagram;
  const login = deps.states.open(datagram.state, transaction, source);
  if (login === null) return encodeError(transaction, 'login_expired');
  const sessionKey = finishOpaque(login.opaque, datagram.ke3);
  if (sessionKey === null) return encodeError(transaction, 'credentials_wrong');
  const keys = loginKeys(p, { sessionKey, transcript: login.transcript });
  const text = unseal(p, { key: keys.finish, associated: beforeLast('finish', bytes), sealed: datagram.sealed });
  const fields = text === null ? null : unpackFields(TEXTS.finish, text);
  const deviceName = fields === null ? null : decodeText(fields.deviceName);
  if (fields === null || deviceName === null) return null;
  const account = await deps.accounts.accountById(hex(login.userId));
  if (account === null || account.disabled) return encodeError(transaction, 'credentials_wrong');
  const deviceId = hex(fields.deviceId);
  const session = await deps.accounts.openSession({ id: hex(keys.sessionId), userId: account.id, deviceId, deviceName, atMs: deps.now() });
  if (session.state === 'ended') return encodeError(transaction, 'session_unknown');
  if (session.userId !== account.id || session.deviceId !== deviceId) return null;
  deps.log.info({ user: account.id, session: session.id, device: deviceId, source: source.address }, 'login');
  return deps.grants.datagram({ session, issuedAtMs: login.issuedAtMs, key: keys.ticket, transaction, request: bytes });
}
