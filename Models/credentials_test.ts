import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareDisplayName, prepareEmail, prepareNewPassword, preparePassword, prepareUserName } from './credentials.ts';

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

test('a display name and an e-mail address are one line each, composed, and may be empty', () => {
  assert.equal(prepareDisplayName('  Zoe\u0308 Smith '), 'Zoë Smith');
  assert.equal(prepareEmail(' zoe@example.org\n'), 'zoe@example.org');
  assert.deepEqual([prepareDisplayName(' '), prepareEmail('')], ['', '']);
  for (const name of ['two\nlines', '\u001b[31mred', 'a\u202eb', '\ud800', 'é'.repeat(65)]) {
    assert.throws(() => prepareDisplayName(name), { code: 'request_invalid' }, JSON.stringify(name));
  }
  for (const address of ['zoe', '@example.org', 'zoe@', 'a b@c.org', 'a@b@c', `${'x'.repeat(250)}@b.org`, 'a\u202e@b.org']) {
    assert.throws(() => prepareEmail(address), { code: 'request_invalid' }, JSON.stringify(address));
  }
});
