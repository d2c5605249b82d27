import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import {
  begunSessionId,
  boxKeys,
  changeKeys,
  fingerprint,
  loginKeys,
  type Primitives,
  renewalKey,
  replyMac,
  requestMac,
  seal,
  transcriptOf,
  unseal,
} from './handshake.ts';

/** Written anew here, so that the vectors do not stand on either side's own. */
const p: Primitives = {
  sha256: (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest(),
  hmac: (key, ...parts) => createHmac('sha256', key).update(Buffer.concat(parts)).digest(),
  hkdf: ({ secret, salt, info, bytes }) => Buffer.from(hkdfSync('sha256', secret, salt, info, bytes)),
  encrypt({ key, nonce, associated, text }) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated);
    return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  },
  decrypt({ key, nonce, associated, text }) {
    const cipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(associated).setAuthTag(text.subarray(-16));
    try {
      return Buffer.concat([cipher.update(text.subarray(0, -16)), cipher.final()]);
    } catch {
      return null;
    }
  },
};
const fill = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const VECTORS = {
  boxRequest: '965e7e3c92317910ee58da8657d74dc619a8294e6f74163d9dc0ac9026105fb5',
  boxReply: '8bf674559841b1ce216f99847f61b0d9745893aa2e849b971898638c2f4a89d9',
  transcript: '18f5deb62b3400bc5be2bd82a1bdec6945a16361412ada5041c766b8d948adfe',
  finish: '6583594241899eb0b430afe494773a26f2ad335c686d5f98bd66e9328c2c5b7b',
  ticket: 'a5dc1b16565e419fdcc098f02e90205eccf86a02a47aefe5ac4282054f85a31b',
  sessionId: '1c6f7509794cd85d69dffcf5ea06eae9',
  renewal: 'b59ff08ef2833d896053adc82a9678c37d783cd6512e79068cfc925cd465956f',
  begunSession: 'd5bceabb8ed37e4822f8fa011b88df8c',
  change: '559e277e4e3f20998835410989c837a62a3e314def7437b41235805ee3c02a7e',
  changed: 'a7b92a624dd82b3399258aae69f31f0806fcb444f69351ddb0a846b9ebaeda24',
  requestMac: '139e9681238218e54bb5b8b08eb1560c5c36c8a696e97312aff7f97e28d767d7',
  replyMac: 'd2b2c1d3de8f52804eae7503e1b75d6a94655bff5113ea87fd3b7e9986d3f619',
  sealed: 'c376d2f87a0c925f76aab6e11d4bb444000b5e45585bb37c9c7a8be83ca8788475',
};

test('the key schedule gives the vectors of docs/PROTOCOL.md', () => {
  const header = fill(20, 5);
  const box = boxKeys(p, { shared: fill(32, 1), ephemeral: fill(32, 2), daemonKey: fill(32, 3) });
  const transcript = transcriptOf(p, { hello: fill(1200, 1), ke2: fill(320, 2), ksf: fill(6, 3) });
  const login = loginKeys(p, { sessionKey: fill(64, 1), transcript });
  const proof = { renewalSecret: fill(32, 1), header, sessionId: fill(16, 2) };
  const vectors = {
    boxRequest: box.request,
    boxReply: box.reply,
    transcript,
    finish: login.finish,
    ticket: login.ticket,
    sessionId: login.sessionId,
    renewal: renewalKey(p, proof),
    begunSession: begunSessionId(p, { renewalSecret: proof.renewalSecret, transaction: fill(16, 3) }),
    change: changeKeys(p, proof).request,
    changed: changeKeys(p, proof).reply,
    requestMac: requestMac(p, { renewalSecret: proof.renewalSecret, before: fill(60, 5) }),
    replyMac: replyMac(p, proof),
    sealed: seal(p, { key: fill(32, 1), associated: fill(20, 2), text: fill(5, 3) }),
  };
  assert.deepEqual(Object.fromEntries(Object.entries(vectors).map(([name, bytes]) => [name, hex(bytes)])), VECTORS);
});

test('a key is shown as OpenSSH shows one', () => {
  assert.equal(fingerprint(p, fill(32, 1)), `SHA256:${createHash('sha256').update(fill(32, 1)).digest('base64').slice(0, 43)}`);
});

test('what is sealed opens with the same key and associated data alone', () => {
  const input = { key: fill(32, 1), associated: fill(20, 2) };
  const sealed = seal(p, { ...input, text: fill(5, 3) });
  assert.deepEqual(seal(p, { ...input, text: fill(5, 3) }), sealed);
  assert.deepEqual(hex(unseal(p, { ...input, sealed }) ?? fill(0, 0)), '0303030303');
  assert.equal(unseal(p, { ...input, key: fill(32, 9), sealed }), null);
  assert.equal(unseal(p, { ...input, associated: fill(20, 9), sealed }), null);
  for (let length = 0; length < sealed.length; length += 1) assert.equal(unseal(p, { ...input, sealed: sealed.subarray(0, length) }), null);
  assert.notDeepEqual(hex(seal(p, { ...input, text: fill(5, 4) })).slice(0, 24), hex(sealed).slice(0, 24));
});

test('docs/PROTOCOL.md shows these vectors, and the daemon’s and client’s types', async () => {
  const document = await readFile(new URL('../docs/PROTOCOL.md', import.meta.url), 'utf8');
  for (const [name, vector] of Object.entries(VECTORS)) assert.ok(document.includes(`\`${vector}\``), name);
  const kinds =
    'HELLO REGISTER ENROL FINISH ACK RENEW LOGOUT RETRY CHALLENGE REGISTRATION ENROLLED TICKET ACKED LOGGED_OUT BUSY ERROR'.split(' ');
  const codes = kinds.map((kind, n): [string, number] => [kind, n < 7 ? 1 + n : 0x81 + n - 7]);
  for (const [kind, code] of [...codes, ['CHANGE', 0x0c], ['BEGIN', 0x0d], ['CHANGED', 0x8d], ['ENDED', 0x8e]] as const) {
    assert.ok(document.includes(`| \`${code.toString(16).padStart(2, '0')}\` | ${kind} |`), kind);
  }
});
