import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeError, encodeServer, headerOf, parseServer } from '../../Models/datagrams.ts';
import { replyMac } from '../../Models/handshake.ts';
import { nodePrimitives } from '../../Models/node_primitives.ts';
import { encodeEndReason } from '../../Models/session_ends.ts';
import type { Exchange } from './exchange.ts';
import { performLogout, performRenewal } from './handshake.ts';

const proof = { sessionId: new Uint8Array(16).fill(1), renewalSecret: new Uint8Array(32).fill(2) };
const session = { proof, clockOffsetMs: 0, pins: null };

/** @param replies to each request, until one is believed */
function exchangeWith(replies: (transaction: Uint8Array) => Uint8Array[]): Exchange & { asked: number } {
  return {
    asked: 0,
    loopback: true,
    way: () => 'udp',
    async request(datagram, accept) {
      this.asked += 1;
      assert.ok(this.asked < 10);
      for (const bytes of replies(datagram.subarray(4, 20))) {
        const reply = parseServer(bytes);
        const result = reply === null ? null : accept(reply, bytes);
        if (result !== null) return result;
      }
      throw new Error('no believable answer');
    },
    close: () => undefined,
  };
}

test('a daemon that asks for a cookie again and again is given up after three rounds', async () => {
  const fields = { cookie: new Uint8Array(16), daemonKey: new Uint8Array(32) };
  const exchange = exchangeWith((transaction) => [encodeServer('retry', transaction, fields)]);
  await assert.rejects(performLogout(exchange, session), { code: 'busy' });
  assert.equal(exchange.asked, 3);
});

test('a logout is done only when the daemon has proved it: anybody can say that the session is unknown', async () => {
  const forged = (transaction: Uint8Array): Uint8Array => encodeError(transaction, 'session_unknown');
  await assert.rejects(
    performLogout(
      exchangeWith((transaction) => [forged(transaction)]),
      session,
    ),
    /no believable answer/,
  );
  const confirmed = (transaction: Uint8Array): Uint8Array => {
    const mac = replyMac(nodePrimitives, { ...proof, header: headerOf('loggedOut', transaction) });
    return encodeServer('loggedOut', transaction, { mac });
  };
  await performLogout(
    exchangeWith((transaction) => [forged(transaction), confirmed(transaction)]),
    session,
  );
});

test('no ERROR, whatever its code, ends a request of a session: anybody can send it', async () => {
  const forged = (transaction: Uint8Array): Uint8Array[] =>
    Array.from({ length: 256 }, (_, code) => encodeServer('error', transaction, { error: Uint8Array.of(code) }));
  const confirmed = (transaction: Uint8Array): Uint8Array =>
    encodeServer('loggedOut', transaction, { mac: replyMac(nodePrimitives, { ...proof, header: headerOf('loggedOut', transaction) }) });
  await performLogout(
    exchangeWith((transaction) => [...forged(transaction), confirmed(transaction)]),
    session,
  );
  await assert.rejects(performRenewal(exchangeWith(forged), session), /no believable answer/);
});

test('that the session has ended, and why, is believed when the daemon has proved it, and from nobody else', async () => {
  const ended = (transaction: Uint8Array, renewalSecret: Uint8Array): Uint8Array => {
    const reason = encodeEndReason('revoked');
    const mac = replyMac(nodePrimitives, { sessionId: proof.sessionId, renewalSecret, header: headerOf('ended', transaction), reason });
    return encodeServer('ended', transaction, { reason, mac });
  };
  const forged = exchangeWith((transaction) => [ended(transaction, new Uint8Array(32).fill(3))]);
  await assert.rejects(performRenewal(forged, session), /no believable answer/);
  const said = exchangeWith((transaction) => [encodeError(transaction, 'session_unknown')]);
  await assert.rejects(performRenewal(said, session), /no believable answer/);
  const proved = exchangeWith((transaction) => [ended(transaction, new Uint8Array(32)), ended(transaction, proof.renewalSecret)]);
  await assert.rejects(performRenewal(proved, session), { code: 'session_unknown', reason: 'revoked' });
});
