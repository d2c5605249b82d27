import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { encodeAnswer, encodeQuestion, openAnswer, openQuestion } from './carried.ts';
import { DATAGRAM } from './datagrams.ts';

const p = {
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
};
const key = Buffer.alloc(32, 1);
const NOW = 1_800_000_000_000;
const question = { id: Buffer.alloc(16, 2), address: '2001:db8::1', timeMs: NOW, datagram: Buffer.alloc(DATAGRAM.clientBytes, 3) };

test('a question is what was asked, an answer what was answered, also when that is nothing', () => {
  const bytes = encodeQuestion(p, key, question);
  const opened = openQuestion(p, key, bytes, NOW);
  assert.ok(opened !== null);
  assert.deepEqual([opened.address, opened.timeMs], [question.address, NOW]);
  assert.ok(question.id.equals(opened.id) && question.datagram.equals(opened.datagram));
  assert.equal(Buffer.from(bytes).subarray(0, 100).toString('hex').slice(0, 40), `44430101${'02'.repeat(16)}`);
  for (const reply of [Buffer.alloc(68, 4), Buffer.alloc(DATAGRAM.clientBytes, 4), null]) {
    const answer = encodeAnswer(p, key, { id: question.id, reply });
    assert.ok(answer.length < bytes.length, 'never longer than the question');
    const back = openAnswer(p, key, answer);
    assert.ok(back !== null && question.id.equals(back.id));
    assert.deepEqual(back.reply === null ? null : Buffer.from(back.reply), reply);
  }
});

test('what the other end did not make is nothing: each changed byte, each shorter form, another key, another time, the other kind', () => {
  const asked = encodeQuestion(p, key, question);
  const answered = encodeAnswer(p, key, { id: question.id, reply: Buffer.alloc(68, 4) });
  const open = (bytes: Uint8Array) => openQuestion(p, key, bytes, NOW) ?? openAnswer(p, key, bytes);
  for (const bytes of [asked, answered]) {
    assert.notEqual(open(bytes), null);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.equal(open(changed), null, `byte ${at}`);
      assert.equal(open(bytes.subarray(0, at)), null, `${at} bytes`);
    }
    assert.equal(open(Buffer.concat([bytes, Buffer.alloc(1)])), null);
  }
  const other = Buffer.alloc(32, 9);
  assert.equal(openQuestion(p, other, asked, NOW) ?? openAnswer(p, other, answered), null);
  assert.equal(openAnswer(p, key, asked) ?? openQuestion(p, key, answered, NOW), null);
  for (const lateMs of [-10_001, 10_001]) assert.equal(openQuestion(p, key, asked, NOW + lateMs), null);
  for (const lateMs of [-10_000, 10_000]) assert.notEqual(openQuestion(p, key, asked, NOW + lateMs), null);
});
