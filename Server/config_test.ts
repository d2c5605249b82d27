import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { readConfig } from './config.ts';

test('an empty environment gives a server on loopback with everything below the working folder', () => {
  assert.deepEqual(readConfig({}), {
    dataFolder: resolve('data'),
    host: '127.0.0.1',
    port: 4811,
    logFolder: resolve('logs'),
    logLevel: 'info',
    databaseUrl: null,
    admins: [],
    webhookHosts: [],
    keep: { allMs: 30 * 86_400_000, dailyMs: 90 * 86_400_000 },
  });
});

test('a bad value is refused with the name of its variable, and is not repeated', () => {
  const bad = {
    DRIFTLESS_DATA: '',
    DRIFTLESS_HTTP_PORT: '70000',
    DRIFTLESS_HOST: '',
    DRIFTLESS_LOG_LEVEL: 'loud',
    DRIFTLESS_DATABASE: 'mysql://user:s3cret@host/db',
  };
  for (const [name, value] of Object.entries(bad)) {
    assert.throws(
      () => readConfig({ [name]: value }),
      (error: Error & { code?: string }) =>
        error.code === 'config_invalid' && error.message.includes(name) && (value === '' || !error.message.includes(value)),
      name,
    );
  }
});
