import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { AUDIT_KINDS } from './audit.ts';

test('README.md lists what is written down, as it is', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const section = readme.split('## The audit record\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, kind, meaning]) => [kind, meaning]);
  assert.deepEqual(rows, Object.entries(AUDIT_KINDS));
});
