import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { decodeInvite, encodeInvite, type Invite } from './invite_code.ts';

const hash = {
  sha256(...parts: readonly Uint8Array[]): Uint8Array {
    const all = createHash('sha256');
    for (const part of parts) all.update(part);
    return all.digest();
  },
};
const INVITE: Invite = {
  auth: 'files.example.org:4810',
  key: `SHA256:${Buffer.alloc(32, 0xfb).toString('base64').replace(/=+$/, '')}`,
  secret: Uint8Array.from({ length: 16 }, (_, n) => 251 + n),
};

test('an invitation code is one word for a shell and a URL, and says where, whom and by what', () => {
  const code = encodeInvite(hash, INVITE);
  assert.equal(code, 'dl1_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7_P3-_wABAgMEBQYHCAkKZmlsZXMuZXhhbXBsZS5vcmc6NDgxMB26b9k');
  assert.equal(encodeURIComponent(code), code);
  assert.match(code, /^[A-Za-z0-9_-]+$/);
  assert.deepEqual(decodeInvite(hash, ` ${code}\n`), INVITE);
  const other = { ...INVITE, auth: '[2001:db8::1]:9' };
  assert.deepEqual(decodeInvite(hash, encodeInvite(hash, other)), other);
  assert.throws(() => encodeInvite(hash, { ...INVITE, secret: new Uint8Array(15) }), RangeError);
});

test('a letter that is mistyped, missing, doubled or exchanged with its neighbour makes it no code', () => {
  const code = encodeInvite(hash, INVITE);
  for (let at = 0; at < code.length; at += 1) {
    const [before, letter, next, after] = [code.slice(0, at), code[at] ?? '', code[at + 1] ?? '', code.slice(at + 1)];
    const wrong = [`${before}${letter === 'x' ? 'y' : 'x'}${after}`, before + after, `${before}${letter}${letter}${after}`];
    if (next !== letter && next !== '') wrong.push(`${before}${next}${letter}${after.slice(1)}`);
    for (const text of wrong) assert.throws(() => decodeInvite(hash, text), { code: 'invite_malformed' }, text);
  }
  for (const text of ['', 'dl1_', 'dl1_%%%', 'x'.repeat(5000), code.toLowerCase(), `${code}.`]) {
    assert.throws(() => decodeInvite(hash, text), { code: 'invite_malformed' });
  }
});
