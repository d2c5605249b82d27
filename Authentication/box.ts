import { beforeLast, type ClientDatagram, encodeServer } from '../Models/datagrams.ts';
import { boxKeys, replyAssociated, seal, unseal } from '../Models/handshake.ts';
import { nodePrimitives as p, sharedSecret } from '../Models/node_primitives.ts';
import type { Secrets } from './secrets.ts';

/** A request that only this daemon can open, and the way to answer so that only its sender can. */
export type OpenedBox = {
  readonly text: Uint8Array;
  reply(kind: 'challenge' | 'registration' | 'enrolled', text: Uint8Array): Uint8Array;
};

/** @returns `null` when it was not sealed to this daemon's key, or changed on the way */
export function openBox(
  secrets: Pick<Secrets, 'boxKey' | 'boxPublicKey'>,
  datagram: ClientDatagram<'hello' | 'register' | 'enrol'>,
  bytes: Uint8Array,
): OpenedBox | null {
  const { kind, ephemeral, sealed, transaction } = datagram;
  const shared = sharedSecret(secrets.boxKey, ephemeral);
  if (shared === null) return null;
  const keys = boxKeys(p, { shared, ephemeral, daemonKey: secrets.boxPublicKey });
  const text = unseal(p, { key: keys.request, associated: beforeLast(kind, bytes), sealed });
  if (text === null) return null;
  return {
    text,
    reply(replyKind, replyText) {
      const associated = replyAssociated(p, { kind: replyKind, transaction, request: bytes });
      return encodeServer(replyKind, transaction, { sealed: seal(p, { key: keys.reply, associated, text: replyText }) });
    },
  };
}
