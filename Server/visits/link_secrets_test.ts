import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { createLinkPasswords } from './link_secrets.ts';

test('of the passwords that are stretched and wait no visitor has more than half, and each place comes back', async () => {
  const { hash } = createLinkPasswords();
  const places = LIMITS.linkPasswordsHashedMax + LIMITS.linkPasswordsWaitingMax;
  const begin = (whose: string) => Array.from({ length: places / 2 }, () => hash('open sesame', whose));
  const running = begin('one');
  await assert.rejects(hash('open sesame', 'one'), { code: 'too_many_requests' });
  running.push(...begin('another'));
  await assert.rejects(hash('open sesame', 'third'), { code: 'busy' });
  await Promise.all(running);
  await hash('open sesame', 'one');
});
