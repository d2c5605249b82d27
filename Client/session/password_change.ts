import { prepareNewPassword, preparePassword } from '../../Models/credentials.ts';
import { packFields, type ServerDatagram, TEXTS, unpackFields } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import { replyAssociated, unseal } from '../../Models/handshake.ts';
import { nodePrimitives as p } from '../../Models/node_primitives.ts';
import { checkPin } from './daemon_pins.ts';
import { BEGIN_AGAIN, type BeginAgain, refusalIn } from './daemon_requests.ts';
import { checkedKsf, type HandshakeDeps, malformed, type ProvenPassword, provePassword, withRepeats } from './handshake.ts';

/** Ids are 16 bytes. */
export type PasswordChange = {
  readonly username: string;
  readonly current: string;
  readonly next: string;
  readonly deviceId: Uint8Array;
  readonly deviceProof: Uint8Array | null;
  /** The session that goes on in any case, and the one it was begun from. */
  readonly sessionId: Uint8Array;
  readonly parentId: Uint8Array | null;
  readonly keepOthers: boolean;
};

const NO_SESSION = new Uint8Array(16);

function wrong(): AppError {
  return new AppError('credentials_wrong', 'wrong password');
}

/** @throws AppError `auth_unreachable`, `busy`, saying that the change may have been made */
function asUnknown(error: unknown): never {
  if (error instanceof AppError && (error.code === 'auth_unreachable' || error.code === 'busy')) {
    const message = `${error.message}. The password may have been changed: the new one holds if you can log in with it, else the old one`;
    throw new AppError(error.code, message, { cause: error });
  }
  throw error;
}

/** The text of a sealed reply of one kind; everything else is a refusal or not to be believed. */
function opened(
  { keys, transaction }: ProvenPassword,
  { kind, request }: { kind: 'newPasswordAnswer' | 'passwordChanged'; request: Uint8Array },
): (reply: ServerDatagram) => { readonly text: Uint8Array } | BeginAgain | null {
  return (reply) => {
    if (reply.kind === 'retry') return BEGIN_AGAIN;
    if (reply.kind !== kind) return refusalIn(reply);
    const text = unseal(p, { key: keys.ticket, associated: replyAssociated(p, { kind, transaction, request }), sealed: reply.sealed });
    return text === null ? null : { text };
  };
}

/**
 * Proves the current password and sets another one, sealed with the key of that very login. Only with a daemon whose keys are pinned. When it
 * resolves the new password holds; when it throws the old one does, but for `auth_unreachable` and `busy` that say otherwise.
 * @throws AppError `credentials_wrong` (the current one), `request_invalid` (the new one), `server_key_unknown`, `server_key_changed`,
 *   `too_many_requests`, `protocol_mismatch`, `auth_unreachable`, `busy`
 */
export async function performPasswordChange(deps: HandshakeDeps, change: PasswordChange): Promise<void> {
  const { exchange, steps, pins, ksfFloor } = deps;
  const current = preparePassword(change.current);
  const next = prepareNewPassword(change.next);
  if (pins === null) throw new AppError('server_key_unknown', 'a password is changed only with a daemon that was met before');
  let isAsked = false; // from then on a lost answer may have been good

  async function attempt(): Promise<true | BeginAgain> {
    const proven = await provePassword(deps, { ...change, password: current });
    if (proven === BEGIN_AGAIN) return BEGIN_AGAIN;
    if (proven === null) return isAsked ? isChanged() : Promise.reject(wrong());
    const { state, request } = await steps.startRegistration(next);
    const asking = proven.say('newPassword', packFields(TEXTS.newPassword, { request }));
    const answer = await exchange.request(asking, opened(proven, { kind: 'newPasswordAnswer', request: asking }));
    if (answer === BEGIN_AGAIN) return BEGIN_AGAIN;
    const fields = unpackFields(TEXTS.registration, answer.text);
    if (fields === null) throw malformed();
    const made = await steps.finishRegistration({
      password: next,
      state,
      response: fields.response,
      ksf: checkedKsf(fields.ksf, ksfFloor),
    });
    checkPin(pins, 'opaqueKey', made.serverKey);
    const { sessionId, parentId, keepOthers } = change;
    const sessions = { sessionId, parentId: parentId ?? NO_SESSION, keepOthers: Uint8Array.of(keepOthers ? 1 : 0) };
    const changing = proven.say('changePassword', packFields(TEXTS.changePassword, { record: made.record, ksf: fields.ksf, ...sessions }));
    isAsked = true;
    const done = await exchange.request(changing, opened(proven, { kind: 'passwordChanged', request: changing }));
    return done === BEGIN_AGAIN ? BEGIN_AGAIN : true;
  }

  /** The current password holds no more: because of us, if the new one does. */
  async function isChanged(): Promise<true | BeginAgain> {
    const proven = await provePassword(deps, { ...change, password: next });
    if (proven === null) throw wrong();
    return proven === BEGIN_AGAIN ? BEGIN_AGAIN : true;
  }

  await withRepeats(attempt).catch((error: unknown) => (isAsked ? asUnknown(error) : Promise.reject(error)));
}
