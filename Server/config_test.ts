import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { readConfig } from './config.ts';

test('an empty environment gives a server on loopback with everything below the working folder', () => {
  assert.deepEqual(readConfig({}), {
    dataFolder: resolve('data'),
    host: '127.0.0.1',
    port: 4811,
    authPort: 4810,
    trustedProxies: [],
    tls: null,
    logFolder: resolve('logs'),
    logLevel: 'info',
    databaseUrl: null,
    admins: [],
    webhookHosts: [],
    keep: { allMs: 30 * 86_400_000, dailyMs: 90 * 86_400_000 },
  });
});

test('away from loopback it speaks HTTPS only; on loopback where it is told to', () => {
  const https = (environment: Record<string, string>) => readConfig(environment).tls !== null;
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) {
    assert.equal(https({ DRIFTLESS_HOST: host }), false, host);
    assert.equal(https({ DRIFTLESS_HOST: host, DRIFTLESS_TLS: 'on' }), true, host);
  }
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'files.example.org', '127.0.0.1.example.org', '1270.0.1']) {
    assert.equal(https({ DRIFTLESS_HOST: host }), true, host);
  }
  assert.throws(() => readConfig({ DRIFTLESS_TLS: 'off' }), /DRIFTLESS_TLS/);
  const given = { DRIFTLESS_TLS: 'on', DRIFTLESS_TLS_CERT: 'cert.pem', DRIFTLESS_TLS_KEY: 'key.pem' };
  assert.deepEqual(readConfig(given).tls, { given: { certificate: resolve('cert.pem'), key: resolve('key.pem') } });
  assert.throws(() => readConfig({ DRIFTLESS_TLS: 'on', DRIFTLESS_TLS_CERT: 'cert.pem' }), /DRIFTLESS_TLS_KEY/);
});

test('a bad value is refused with the name of its variable, and is not repeated', () => {
  const bad = {
    DRIFTLESS_DATA: '',
    DRIFTLESS_HTTP_PORT: '70000',
    DRIFTLESS_HOST: '',
    DRIFTLESS_LOG_LEVEL: 'loud',
    DRIFTLESS_TRUSTED_PROXIES: '10.0.0.0/33',
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
