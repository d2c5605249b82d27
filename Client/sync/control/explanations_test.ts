import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { REASONS, type Reason } from '../reasons.ts';
import { explain, type ReasonDetails } from './explanations.ts';

const DETAILS: ReasonDetails = {
  path: 'a/b',
  rule: { source: 'ignored', line: 3, pattern: '*.log' },
  other: 'B',
  error: 'EACCES',
  count: 1234,
  of: 5678,
  needed: 122_000_000,
  free: 40_000_000,
};

describe('an explanation', () => {
  for (const reason of REASONS) {
    it(`of ${reason} is one sentence of what it means and one of what to do, with and without details`, () => {
      for (const details of [{}, DETAILS, { count: 1 }]) {
        const { meaning, next } = explain(reason, details);
        for (const sentence of [meaning, next]) {
          assert.match(sentence, /^[A-Z0-9].*[^.]\.$/);
          assert.doesNotMatch(sentence, /undefined|null|NaN|\(\)|""|\. [A-Z].*\. [A-Z]/);
        }
      }
    });
  }

  it('names what is known', () => {
    const meaning = (reason: Reason, details: ReasonDetails = DETAILS): string => explain(reason, details).meaning;
    assert.match(meaning('ignored'), /line 3 of \.driftlessignore: "\*\.log"/);
    const rule = { source: 'ignored', line: 1, pattern: 'a/b', isEarlier: true } as const;
    assert.match(meaning('ignored', { rule }), /: "a\/b", which means the place where its folder was before\.$/);
    assert.match(meaning('excluded'), /--exclude "\*\.log"/);
    assert.match(meaning('name_collides'), /and "B" are the same/);
    assert.match(meaning('waiting_turn'), /behind 1,234 entries/);
    assert.match(meaning('held_deletes'), /^1,234 entries of 5,678 would be deleted/);
    assert.match(meaning('over_quota'), /it needs 122 MB, 40\.0 MB are free/);
    assert.match(meaning('local_error'), /refused \(EACCES\)/);
    assert.match(meaning('ignored', { rule: { source: 'ignored', line: 0, pattern: '.driftless' } }), /never synced/);
  });
});

it('every reason is brought about by some test or scenario', () => {
  const client = fileURLToPath(new URL('..', import.meta.url));
  const system = fileURLToPath(new URL('../../../system_tests', import.meta.url));
  const files = [
    ...globSync('sync/**/*_test.ts', { cwd: client }).map((file) => join(client, file)),
    ...globSync('sync/testing/**/*.ts', { cwd: client }).map((file) => join(client, file)),
    ...globSync('*sync*_test.ts', { cwd: system }).map((file) => join(system, file)),
  ].filter((file) => !/(explanations|root_rows)_test\.ts$/.test(file));
  const texts = files.map((file) => readFileSync(file, 'utf8'));
  const missing = REASONS.filter((reason) => !texts.some((text) => text.includes(`'${reason}'`)));
  assert.deepEqual(missing, []);
});
