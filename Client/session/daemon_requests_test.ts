import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeServer, parseServer } from '../../Models/datagrams.ts';
import { requestInSession } from './daemon_requests.ts';
import type { Exchange } from './exchange.ts';

test('a daemon that asks for a cookie again and again is given up after three rounds', async () => {
  let asked = 0;
  const exchange: Exchange = {
    async request(datagram, accept) {
      asked += 1;
      assert.ok(asked < 10);
      const retry = encodeServer('retry', datagram.subarray(4, 20), { cookie: new Uint8Array(16), daemonKey: new Uint8Array(32) });
      const reply = parseServer(retry);
      const result = reply === null ? null : accept(reply, retry);
      assert.ok(result !== null);
      return result;
    },
    close: () => undefined,
  };
  const proof = { sessionId: new Uint8Array(16), renewalSecret: new Uint8Array(32) };
  await assert.rejects(
    requestInSession(exchange, { kind: 'logout', proof, clockOffsetMs: 0, pins: null }, () => true),
    { code: 'busy' },
  );
  assert.equal(asked, 3);
});
