import { beforeLast, type ClientDatagram, type WireError } from '../Models/datagrams.ts';
import { type LoginKeys, loginKeys, unseal } from '../Models/handshake.ts';
import { foldName } from '../Models/names.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Account } from '../Storage/account.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { GuessLimit } from './guess_limit.ts';
import type { OpaqueServer } from './opaque_server.ts';
import type { HalfOpenLogin, SealedStates } from './sealed_state.ts';
import type { Source } from './source.ts';
import type { UnfinishedLogins } from './unfinished_logins.ts';

export type ProofDeps = {
  readonly accounts: Pick<Accounts, 'accountById'>;
  readonly opaque: Pick<OpaqueServer, 'finishLogin'>;
  readonly states: SealedStates;
  readonly guessLimit: GuessLimit;
  readonly unfinished: UnfinishedLogins;
};
/** The datagrams that follow a CHALLENGE: each proves anew that its sender knows the password. */
export type ProofDatagram = ClientDatagram<'finish' | 'newPassword' | 'changePassword'>;

/** Who knows the password of this account, and what they say. */
export type ProvenLogin = {
  readonly login: HalfOpenLogin;
  readonly account: Account;
  readonly keys: LoginKeys;
  readonly text: Uint8Array;
};
/** `userId`: 32 hex digits; `null` for nobody's, or when the login does not open. */
export type Unproven = { readonly refused: WireError; readonly userId: string | null };

const NOBODY_ID = '0'.repeat(32);

/** SHA-256 by which a half-open login names the record that it was begun with. */
export function recordDigest(record: Uint8Array): Uint8Array {
  return p.sha256(record);
}

/**
 * Opens what a client says after its CHALLENGE. Whoever writes down what became of a proven login says that it is finished.
 * @returns `null` (silence) for what no client of ours sends; a refusal is to be written down
 */
export async function provenLogin(
  deps: ProofDeps,
  { datagram, bytes, source }: { readonly datagram: ProofDatagram; readonly bytes: Uint8Array; readonly source: Source },
): Promise<ProvenLogin | Unproven | null> {
  const { transaction, kind } = datagram;
  const login = deps.states.open(datagram.state, transaction, source);
  if (login === null) return { refused: 'login_expired', userId: null };
  const userId = Buffer.from(login.userId).toString('hex');
  const wrong = (whose: string | null): Unproven => {
    deps.unfinished.finished(datagram.state);
    return { refused: 'credentials_wrong', userId: whose };
  };
  const sessionKey = await deps.opaque.finishLogin({ state: login.opaque, ke3: datagram.ke3 });
  if (sessionKey === null) return wrong(userId === NOBODY_ID ? null : userId);
  const keys = loginKeys(p, { sessionKey, transcript: login.transcript });
  const text = unseal(p, { key: keys.finish, associated: beforeLast(kind, bytes), sealed: datagram.sealed });
  if (text === null) return null;
  const account = await deps.accounts.accountById(userId);
  if (account === null || account.disabled) return wrong(userId);
  return { login, account, keys, text };
}

/** The guess that the login began with was right. */
export function forgiveGuess({ guessLimit }: Pick<ProofDeps, 'guessLimit'>, { account, login }: ProvenLogin): Promise<void> {
  return guessLimit.forgive({ foldedName: foldName(account.name), counter: login.counter });
}
