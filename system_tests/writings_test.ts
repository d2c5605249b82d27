import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { findLeaks, passwordsIn } from './writings.ts';

const found = (text: string): number => findLeaks(new Map([['here', text]]), ['correct horse battery']).length;

test('secrets are found by their look, passwords by what tests write out, and what a terminal obeys', async () => {
  for (const bytes of [16, 32]) {
    const finds = Array.from({ length: 200 }, () => found(`GET /l/${randomBytes(bytes).toString('base64url')} 200`));
    const seen = finds.filter((count) => count === 1).length;
    assert.ok(seen > 170, `${seen} of 200`); // of 16 bytes one in forty has no digit, and looks like a word
  }
  const ticket = `eyJhbGciOiJFZERTQSJ9.${randomBytes(120).toString('base64url')}.${randomBytes(64).toString('base64url')}`;
  assert.ok(found(`{"authorization":"Bearer ${ticket}"}`) > 0);
  assert.ok(found(`dl1_${randomBytes(70).toString('base64url')}`) > 0);
  assert.equal(found('wrong password "correct horse battery"'), 1);
  assert.equal(found('a name \u001b[2J'), 1);
  const passwords = await passwordsIn('system_tests/key_rotation_test.ts');
  assert.deepEqual([...passwords], ['correct horse battery']);
});

test('ids, digests, fingerprints, paths and stacks are no finds', () => {
  const id = randomBytes(16).toString('hex');
  const lines = [
    `{"level":30,"time":1796000000000,"pid":123,"sid":"${id}","digest":"${randomBytes(32).toString('hex')}"}`,
    `key SHA256:${randomBytes(32).toString('base64').replace('=', '')}, pin sha256//${randomBytes(32).toString('base64')}`,
    '    at TestHook.runInAsyncScope (node:internal/test_runner/test:1402:25)',
    "ENOENT: no such file or directory, open '/tmp/driftless-cli-system-x8Kd2Z/data/server/tls.json'",
    'at file:///opt/driftless/node_modules/fastify-type-provider-zod/dist/esm/core2.js:12:34',
  ];
  assert.deepEqual(findLeaks(new Map([['here', lines.join('\n')]]), ['correct horse battery']), []);
});
