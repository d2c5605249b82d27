import { AppError } from '../../Models/errors.ts';
import { changeKeys, replyAssociated, seal, unseal } from '../../Models/handshake.ts';
import { nodePrimitives as p } from '../../Models/node_primitives.ts';
import { type Change, type ChangeResult, decodeOutcome, encodeChange } from '../../Models/session_changes.ts';
import { type InSession, requestInSession } from './daemon_requests.ts';
import type { Exchange } from './exchange.ts';

const MESSAGES: Readonly<Record<Exclude<ChangeResult, 'done' | 'stale'>, string>> = {
  not_found: 'there is no such device or session',
  name_invalid: 'this name is not allowed',
  request_invalid: 'the authentication daemon refused the request',
  protocol_mismatch: 'the authentication daemon does not know this request: it is older than this client',
};

/** Another process changes something in the same session now, or the clock was set back: with a higher number then. */
const ROUNDS_MAX = 5;

/**
 * Has something changed by the daemon. When it resolves that is durable.
 * @throws AppError `not_found`, `name_invalid`, `request_invalid`, `session_unknown`, `server_key_changed`, `protocol_mismatch`, `auth_unreachable`, `busy`
 */
export async function performChange(exchange: Exchange, session: InSession, change: Change): Promise<void> {
  const keys = changeKeys(p, session.proof);
  let number = Date.now();
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const text = encodeChange(number, change);
    const prove = (associated: Uint8Array): Uint8Array => seal(p, { key: keys.request, associated, text });
    const outcome = await requestInSession(exchange, { ...session, kind: 'change', prove }, (reply, request, transaction) => {
      if (reply.kind !== 'changed') return null;
      const associated = replyAssociated(p, { kind: 'changed', transaction, request });
      const opened = unseal(p, { key: keys.reply, associated, sealed: reply.sealed });
      return opened === null ? null : decodeOutcome(opened);
    });
    if (outcome.result === 'done') return;
    if (outcome.result !== 'stale') throw new AppError(outcome.result, MESSAGES[outcome.result]);
    number = Math.max(number, outcome.number) + 1;
  }
  throw new AppError('busy', 'something else changes the same session again and again');
}
