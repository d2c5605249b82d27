import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { client as opaque, ready } from '@serenity-kit/opaque';
import { encodeText } from '../Models/datagram_fields.ts';
import { encodeAuthenticated, packFields, parseServer, TEXTS } from '../Models/datagrams.ts';
import { boxKeys, seal } from '../Models/handshake.ts';
import { nodePrimitives as p, sharedSecret } from '../Models/node_primitives.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { startDaemon } from './testing/daemon_fixture.ts';

test('guesses that give themselves the same transaction are written down all the same, each for its own name', async (t) => {
  await ready;
  const folder = await temporaryFolder(t);
  const clock = { atMs: 1_800_000_000_000 };
  await using server = await startDaemon(folder, { now: () => clock.atMs });
  const { daemon, secrets } = server;
  const source = { address: '203.0.113.5', port: 40_000 };

  async function guess(name: string, cookie: Uint8Array = new Uint8Array(16)) {
    const own = generateKeyPairSync('x25519');
    const ephemeral = Buffer.from(own.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const shared = sharedSecret(own.privateKey, secrets.boxPublicKey);
    assert.ok(shared !== null);
    const keys = boxKeys(p, { shared, ephemeral, daemonKey: secrets.boxPublicKey });
    const ke1 = Buffer.from(opaque.startLogin({ password: 'a guess' }).startLoginRequest, 'base64url');
    const unknown = { deviceId: new Uint8Array(16), deviceProof: new Uint8Array(16) };
    const text = packFields(TEXTS.hello, { ke1, name: encodeText(name), ...unknown });
    const bytes = encodeAuthenticated('hello', new Uint8Array(16).fill(7), { cookie, ephemeral }, (associated) =>
      seal(p, { key: keys.request, associated, text }),
    );
    return parseServer((await daemon.receive(bytes, source)) ?? new Uint8Array(0));
  }

  const retry = await guess('alice');
  assert.ok(retry?.kind === 'retry');
  for (const name of ['alice', 'bob', 'alice']) assert.equal((await guess(name, retry.cookie))?.kind, 'challenge');
  clock.atMs += 60_001;
  await daemon.sweep();
  assert.equal(server.audited.filter(({ what, result }) => what === 'login' && result === 'credentials_wrong').length, 3);
});
