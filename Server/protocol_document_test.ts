import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ERROR_CODES } from '../Models/errors.ts';
import { ROUTES } from '../Models/routes.ts';
import { STATUS } from './http_errors.ts';

async function section(title: string): Promise<string> {
  const document = await readFile(new URL('../docs/PROTOCOL.md', import.meta.url), 'utf8');
  const text = document.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  assert.ok(text !== undefined, `docs/PROTOCOL.md has a section "${title}"`);
  return text;
}

test('docs/PROTOCOL.md lists exactly the codes there are, with their status', async () => {
  const rows = (await section('Error codes')).matchAll(/^\| `(\w+)` +\| (\d{3}) +\| \S/gm);
  const listed = [...rows].map(([, code, status]) => `${code} ${status}`);
  const actual = ERROR_CODES.map((code) => `${code} ${STATUS[code]}`);
  assert.deepEqual(listed.toSorted(), actual.toSorted());
});

test('docs/PROTOCOL.md names every route, and none that does not exist', async () => {
  const table = (await section('Routes')).split('\n').filter((line) => /^\| `\/(?:v1|\.well-known)\//.test(line));
  const named = table.flatMap((line) =>
    [...(line.split('|')[1] ?? '').matchAll(/`(\/(?:v1|\.well-known)\/[^`]+)`/g)].map(([, route]) => route),
  );
  const bare = new Set(named.map((route) => route?.replace(/\/ID(\/.*)?$/, '')));
  const served = Object.values(ROUTES).filter((route) => route !== ROUTES.openapi);
  assert.deepEqual([...bare].sort(), served.toSorted());
});
