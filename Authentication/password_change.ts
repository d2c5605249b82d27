import { encodeKsf, type Ksf } from '../Models/datagram_fields.ts';
import { encodeError, encodeServer, packFields, TEXTS, unpackFields, type WireError } from '../Models/datagrams.ts';
import { replyAssociated, seal } from '../Models/handshake.ts';
import { foldName } from '../Models/names.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { Audit } from '../Storage/audit.ts';
import type { AuthLog } from './auth_log.ts';
import { forgiveGuess, type ProofDeps, type ProvenLogin, provenLogin } from './login_proof.ts';
import type { OpaqueServer } from './opaque_server.ts';
import type { Incoming } from './source.ts';

export type PasswordChangeDeps = ProofDeps & {
  readonly accounts: Pick<Accounts, 'accountById' | 'changePassword'>;
  readonly opaque: Pick<OpaqueServer, 'finishLogin' | 'register'>;
  readonly ksf: Ksf;
  readonly log: AuthLog;
  readonly audit: Pick<Audit, 'record'>;
  readonly now: () => number;
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const isZeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

function refusal(
  deps: PasswordChangeDeps,
  { datagram, source }: Incoming<'newPassword' | 'changePassword'>,
  { refused, userId }: { refused: WireError; userId: string | null },
): Uint8Array {
  deps.audit.record({ what: 'password_changed', result: refused, userId, address: source.address });
  return encodeError(datagram.transaction, refused);
}

/** Sealed with the key of this login: made again for the same request it is the same. */
function reply(
  kind: 'newPasswordAnswer' | 'passwordChanged',
  { keys }: ProvenLogin,
  { datagram, bytes }: Incoming<'newPassword' | 'changePassword'>,
  text: Uint8Array,
): Uint8Array {
  const { transaction } = datagram;
  const associated = replyAssociated(p, { kind, transaction, request: bytes });
  return encodeServer(kind, transaction, { sealed: seal(p, { key: keys.ticket, associated, text }) });
}

/** NEW_PASSWORD to NEW_PASSWORD_ANSWER: OPAQUE's registration of another password, by whoever knows the one that holds. Nothing is kept. */
export async function answerNewPassword(deps: PasswordChangeDeps, incoming: Incoming<'newPassword'>): Promise<Uint8Array | null> {
  const proven = await provenLogin(deps, incoming);
  if (proven === null) return null;
  if ('refused' in proven) return refusal(deps, incoming, proven);
  const fields = unpackFields(TEXTS.newPassword, proven.text);
  if (fields === null) return null;
  const response = await deps.opaque.register({ request: fields.request, user: foldName(proven.account.name) });
  if (response === null) return null; // not a valid request
  await forgiveGuess(deps, proven);
  const { id: userId, name: userName } = proven.account;
  deps.unfinished.finished(incoming.datagram.state);
  deps.audit.record({ what: 'login', result: 'ok', userId, userName, address: incoming.source.address, detail: 'to change the password' });
  const text = packFields(TEXTS.registration, { response, ksf: encodeKsf(deps.ksf) });
  return reply('newPasswordAnswer', proven, incoming, text);
}

/**
 * CHANGE_PASSWORD to PASSWORD_CHANGED: durable when answered, together with the end of the other sessions. Said again it is the same change; said
 * again after another change it is none, for the record that it was proved with is no longer there.
 */
export async function answerChangePassword(deps: PasswordChangeDeps, incoming: Incoming<'changePassword'>): Promise<Uint8Array | null> {
  const proven = await provenLogin(deps, incoming);
  if (proven === null) return null;
  if ('refused' in proven) return refusal(deps, incoming, proven);
  const { account, login, text } = proven;
  const fields = unpackFields(TEXTS.changePassword, text);
  if (fields === null) return null;
  const expired = (): Uint8Array => {
    deps.unfinished.finished(incoming.datagram.state);
    return refusal(deps, incoming, { refused: 'login_expired', userId: account.id });
  };
  if (!Buffer.from(fields.ksf).equals(encodeKsf(deps.ksf))) return expired();
  const outcome = await deps.accounts.changePassword({
    userId: account.id,
    provenDigest: login.record,
    record: Buffer.from(fields.record),
    ksf: deps.ksf,
    endSessions: isZeros(fields.keepOthers),
    exceptSessions: [fields.sessionId, fields.parentId].filter((id) => !isZeros(id)).map(hex),
    atMs: deps.now(),
  });
  if (outcome === 'stale') return expired();
  if (outcome === 'changed') {
    deps.unfinished.finished(incoming.datagram.state);
    deps.log.info({ user: account.id, source: incoming.source.address }, 'password changed');
    const detail = isZeros(fields.keepOthers) ? {} : { detail: 'other sessions go on' };
    deps.audit.record({
      what: 'password_changed',
      result: 'ok',
      userId: account.id,
      userName: account.name,
      address: incoming.source.address,
      ...detail,
    });
  }
  return reply('passwordChanged', proven, incoming, packFields(TEXTS.enrolled, { userId: login.userId }));
}
