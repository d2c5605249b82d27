import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthAddress } from './auth_address.ts';

test('an address has a host, a port that may be left out, and one spelling', () => {
  const table: readonly [string, string, number, string][] = [
    ['127.0.0.1:4810', '127.0.0.1', 4810, '127.0.0.1:4810'],
    ['Example.ORG', 'example.org', 4810, 'example.org:4810'],
    [' localhost:9 ', 'localhost', 9, 'localhost:9'],
    ['[::1]:4811', '::1', 4811, '[::1]:4811'],
    ['[FE80::1%eth0]', 'fe80::1%eth0', 4810, '[fe80::1%eth0]:4810'],
  ];
  for (const [text, host, port, spelling] of table) assert.deepEqual(parseAuthAddress(text), { host, port, text: spelling });
});

test('what is no address is refused', () => {
  for (const text of ['', ':4810', 'host:', 'host:0', 'host:70000', 'host:x', '::1', 'two words:1', 'http://host:1', 'host/path']) {
    assert.throws(() => parseAuthAddress(text), { code: 'config_invalid' }, text);
  }
});
