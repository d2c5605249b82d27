import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareNewPassword, preparePassword, prepareUserName } from './credentials.ts';

test('a user name has one form: lower case, ordinary width, composed', () => {
  const table: readonly [string, string][] = [
    ['Alice', 'alice'],
    ['alice@example.org', 'alice@example.org'],
    ['ＡＬＩＣＥ', 'alice'],
    ['ZOE\u0308', 'zoë'],
    ['Σίσυφος', 'σίσυφος'],
    ['王小明', '王小明'],
    ['x'.repeat(64), 'x'.repeat(64)],
  ];
  for (const [typed, prepared] of table) {
    assert.equal(prepareUserName(typed), prepared);
    assert.equal(prepareUserName(prepared), prepared);
  }
});

test('what cannot be a user name is refused', () => {
  const bad = [
    '',
    ' ',
    'two words',
    'tab\there',
    'nul\0',
    'no\u00a0break',
    'wide\u3000space',
    'x'.repeat(65),
    'é'.repeat(33),
    '\ud800',
    'ﬁ',
    '½',
    'a\u200bb',
    '☃',
    'a\u202eb',
  ];
  for (const name of bad) assert.throws(() => prepareUserName(name), { code: 'name_invalid' }, JSON.stringify(name));
});

test('a password is the same however it was typed, and never changed otherwise', () => {
  assert.equal(prepareNewPassword('cre\u0300me bru\u0302le\u0301e'), 'crème brûlée');
  assert.equal(prepareNewPassword('wide\u3000and\u00a0narrow'), 'wide and narrow');
  assert.equal(prepareNewPassword('  Ａ keeps its Case  '), '  Ａ keeps its Case  ');
});

test('what cannot be a password is refused when it is set and wrong when it is tried', () => {
  for (const password of ['', 'seven77', 'x'.repeat(1025), 'lone \ud800 surrogate', 'bell\u0007bell', 'line\nbreak']) {
    assert.throws(() => prepareNewPassword(password), { code: 'request_invalid' });
    assert.throws(() => preparePassword(password), { code: 'credentials_wrong' });
  }
  assert.equal(prepareNewPassword('éééé'), 'éééé'); // eight bytes
  assert.equal(prepareNewPassword('x'.repeat(1024)).length, 1024);
});
