import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

test('nothing in the core draws lots or waits', () => {
  for (const file of readdirSync(import.meta.dirname)) {
    if (file.endsWith('_test.ts')) continue;
    const text = readFileSync(`${import.meta.dirname}/${file}`, 'utf8');
    for (const word of [/\bMath\.random\b/, /\bawait\b/, /\basync\b/, /\bPromise\b/, /\bimport\(/]) assert.doesNotMatch(text, word, file);
  }
});
