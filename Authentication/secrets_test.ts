import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { client, ready, server } from '@serenity-kit/opaque';
import { compactVerify, createLocalJWKSet, importPKCS8 } from 'jose';
import { openSecrets } from './secrets.ts';

/** Made with version 1.1.0 of the library: accounts of today must be able to log in after every upgrade. */
const SETUP =
  'E-ypPpc29Y1lq_HuxKm6Mwn4JdTR3IqpX_dmuPGfB-2iGP50jwV-6YneDZQWvmH4-bNtEP4dGgWsCU3IjzykoDlmKLRYr-ZkQbBY' +
  'D9859UJuaHQtXG1rsTjta0tQ5L0IKhvJr-2-yM3Xf1taeFTnc3oWaug0xUAyCtYWTp9wqxI';
const RECORD =
  'St4pjKbBf1n7oLMr8sviPLWeo0eArKKa1LOO1TQexjHHO9HrwbGL1_7EIqQSW6a5voAgJywN8A5iBnPjyjLVwtWl7xj0pGYXc6Z_' +
  'OFjbmz3uYGzEY_7G8KZ1NugjVqO6aczjOzbWli45a9KO-Rc87e8-W-BcMAcGTxHExwS6-l7PbXn0AdrR1vCxIG0SyyJodhWMb2L9' +
  '3d11TjNZRpFL6Yx02EQ3bS1kmMu_NEYrHuczqdNo8gPNPnYOFVmCJzav';
const SERVER_KEY = 'Pv1OyZz0g0k-xtTjo9JYrSekLNyEpxNXX3o4x7fd4Hs';

async function dataFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-secrets-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a record that was made with the first version of the library still logs in', async () => {
  await ready;
  const password = 'correct horse battery';
  const { clientLoginState, startLoginRequest } = client.startLogin({ password });
  const { serverLoginState, loginResponse } = server.startLogin({
    serverSetup: SETUP,
    registrationRecord: RECORD,
    startLoginRequest,
    userIdentifier: 'alice',
  });
  const keyStretching = { 'argon2id-custom': { iterations: 1, memory: 64, parallelism: 1 } };
  const finished = client.finishLogin({ clientLoginState, loginResponse, password, keyStretching });
  assert.equal(finished?.serverStaticPublicKey, SERVER_KEY);
  const { finishLoginRequest = '' } = finished ?? {};
  assert.equal(server.finishLogin({ serverLoginState, finishLoginRequest }).sessionKey, finished?.sessionKey);
});

test('secrets are made once, for their owner only, and read back the same', async (t) => {
  const folder = await dataFolder(t);
  const made = await openSecrets(folder, { mayCreate: true });
  const read = await openSecrets(folder, { mayCreate: false });
  assert.deepEqual(read.master, made.master);
  assert.equal(read.opaqueSetup, made.opaqueSetup);
  assert.ok(read.ticketKey.equals(made.ticketKey) && read.boxKey.equals(made.boxKey));
  assert.equal((await stat(join(folder, 'auth', 'secrets.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(folder, 'auth'))).mode & 0o777, 0o700);
});

test('secrets that others may read or change are refused, with the way out', async (t) => {
  const folder = await dataFolder(t);
  await openSecrets(folder, { mayCreate: true });
  const path = join(folder, 'auth', 'secrets.json');
  for (const mode of [0o640, 0o604, 0o620, 0o644]) {
    await chmod(path, mode);
    await assert.rejects(openSecrets(folder, { mayCreate: true }), { code: 'data_folder_unusable', message: /chmod 600/ });
  }
  await chmod(path, 0o400);
  await openSecrets(folder, { mayCreate: true });
});

test('the published key checks what the secret key signs, and holds nothing secret', async (t) => {
  const folder = await dataFolder(t);
  const { ticketKey, ticketKeyId } = await openSecrets(folder, { mayCreate: true });
  const keys = JSON.parse(await readFile(join(folder, 'auth', 'ticket_keys.json'), 'utf8'));
  assert.equal(keys.keys.length, 1);
  assert.deepEqual(Object.keys(keys.keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  const { CompactSign } = await import('jose');
  const pem = ticketKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const signed = await new CompactSign(Buffer.from('hello'))
    .setProtectedHeader({ alg: 'EdDSA', kid: ticketKeyId })
    .sign(await importPKCS8(pem, 'EdDSA'));
  const { payload } = await compactVerify(signed, createLocalJWKSet(keys));
  assert.equal(Buffer.from(payload).toString(), 'hello');
});

test('missing secrets are not made anew once there are accounts, and damaged ones are named but not shown', async (t) => {
  const folder = await dataFolder(t);
  await assert.rejects(openSecrets(folder, { mayCreate: false }), { code: 'data_folder_unusable' });
  await openSecrets(folder, { mayCreate: true });
  const path = join(folder, 'auth', 'secrets.json');
  for (const text of ['', '{}', '{"master":"hush"}', (await readFile(path, 'utf8')).slice(0, 100)]) {
    await writeFile(path, text);
    await assert.rejects(openSecrets(folder, { mayCreate: true }), (error: Error & { code?: string }) => {
      assert.ok(!`${error.stack} ${error.cause}`.includes('hush'));
      return error.code === 'data_folder_unusable' && error.message.includes(path);
    });
  }
});
