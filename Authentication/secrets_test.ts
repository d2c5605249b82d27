import assert from 'node:assert/strict';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { compactVerify, createLocalJWKSet, importPKCS8 } from 'jose';
import { LIMITS } from '../Models/limits.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { openSecrets, readSecretContent, rotateKeys, type Secrets, withdrawKeys } from './secrets.ts';
import { ROTATION, type SigningKey } from './signing_keys.ts';

const keyNow = (secrets: Secrets): SigningKey => secrets.signingKeyAt(Date.now());

test('secrets are made once, for their owner only, and read back the same', async (t) => {
  const folder = await temporaryFolder(t);
  const made = await openSecrets(folder, { mayCreate: true });
  const read = await openSecrets(folder, { mayCreate: false });
  assert.deepEqual(read.master, made.master);
  assert.equal(read.opaqueSetup, made.opaqueSetup);
  assert.ok(keyNow(read).key.equals(keyNow(made).key) && read.boxKey.equals(made.boxKey));
  assert.equal((await stat(join(folder, 'auth', 'secrets.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(folder, 'auth'))).mode & 0o777, 0o700);
});

test('secrets that others may read or change are refused, with the way out', async (t) => {
  const folder = await temporaryFolder(t);
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
  const folder = await temporaryFolder(t);
  const { key, id } = keyNow(await openSecrets(folder, { mayCreate: true }));
  const keys = JSON.parse(await readFile(join(folder, 'auth', 'ticket_keys.json'), 'utf8'));
  assert.equal(keys.keys.length, 1);
  assert.deepEqual(Object.keys(keys.keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  const { CompactSign } = await import('jose');
  const pem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  const signed = await new CompactSign(Buffer.from('hello'))
    .setProtectedHeader({ alg: 'EdDSA', kid: id })
    .sign(await importPKCS8(pem, 'EdDSA'));
  const { payload } = await compactVerify(signed, createLocalJWKSet(keys));
  assert.equal(Buffer.from(payload).toString(), 'hello');
});

test('missing secrets are not made anew once there are accounts, and damaged ones are named but not shown', async (t) => {
  const folder = await temporaryFolder(t);
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

const publishedIds = async (folder: string): Promise<string[]> => {
  const { keys } = JSON.parse(await readFile(join(folder, 'auth', 'ticket_keys.json'), 'utf8')) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid);
};

test('a key that was made elsewhere is taken over, signs when its minute has passed, and the one before it goes in its time', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = { ms: 1_800_000_000_000 };
  const now = (): number => clock.ms;
  const secrets = await openSecrets(folder, { mayCreate: true, now });
  await secrets.tend();
  assert.equal(await secrets.tend(), null);
  const first = secrets.signingKeyAt(clock.ms).id;
  clock.ms += 1000;
  const made = await rotateKeys(folder, clock.ms);
  const second = made[1]?.id ?? '';
  assert.deepEqual(
    [made.map(({ id }) => id), await publishedIds(folder)],
    [
      [first, second],
      [first, second],
    ],
  );
  await assert.rejects(rotateKeys(folder, clock.ms + 1000), { code: 'busy' });
  assert.equal(secrets.signingKeyAt(clock.ms + ROTATION.aheadMs).id, first); // not known here yet
  await secrets.tend();
  assert.equal(secrets.signingKeyAt(clock.ms).id, first);
  const changeMs = clock.ms + ROTATION.aheadMs;
  assert.equal(secrets.signingKeyAt(changeMs - 1).id, first);
  assert.equal(secrets.signingKeyAt(changeMs).id, second);
  clock.ms = changeMs + ROTATION.overlapMs - 1;
  await secrets.tend();
  assert.deepEqual(await publishedIds(folder), [first, second]);
  clock.ms += 1;
  await secrets.tend();
  assert.deepEqual(await publishedIds(folder), [second]);
  assert.equal((await readSecretContent(folder)).ticketKeys.length, 1);
  clock.ms = changeMs + ROTATION.everyMs;
  const third = await secrets.tend();
  assert.deepEqual(await publishedIds(folder), [second, third]);
  assert.equal(await secrets.tend(), null);
  assert.equal((await publishedIds(folder)).length, 2);
});

test('a stolen key is withdrawn for good: the new one signs before the others are refused, and no key of theirs is left', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = { ms: 1_800_000_000_000 };
  const secrets = await openSecrets(folder, { mayCreate: true, now: () => clock.ms });
  await rotateKeys(folder, clock.ms); // its key would sign in a minute, and a thief does not wait
  const stolen = await publishedIds(folder);
  const [first, early] = stolen;
  const made = await withdrawKeys(
    folder,
    () => clock.ms,
    async () => {
      await secrets.tend();
      assert.ok(!stolen.includes(secrets.signingKeyAt(clock.ms).id) && (await publishedIds(folder)).includes(stolen[0] ?? ''));
    },
  );
  const [current] = made;
  assert.deepEqual([made.length, secrets.signingKeyAt(clock.ms).id], [1, current?.id]);
  const published = async () => JSON.parse(await readFile(join(folder, 'auth', 'ticket_keys.json'), 'utf8'));
  assert.deepEqual([await publishedIds(folder), (await published()).withdrawn], [[current?.id], [early, first]]);
  clock.ms += ROTATION.everyMs;
  for (const reopened of [secrets, await openSecrets(folder, { mayCreate: false, now: () => clock.ms })]) await reopened.tend();
  assert.deepEqual((await published()).withdrawn, [early, first]);
});

test('of keys that are over the ids are kept for as long as a stream may flow, and withdrawn with the others', async (t) => {
  for (const [waitMs, isNamed] of [
    [LIMITS.streamTimeoutMs - 1, true],
    [LIMITS.streamTimeoutMs, false],
  ] as const) {
    const folder = await temporaryFolder(t);
    const clock = { ms: 1_800_000_000_000 };
    const secrets = await openSecrets(folder, { mayCreate: true, now: () => clock.ms });
    const first = secrets.signingKeyAt(clock.ms).id;
    const [, second] = await rotateKeys(folder, clock.ms);
    clock.ms += ROTATION.aheadMs + ROTATION.overlapMs;
    await secrets.tend();
    assert.deepEqual(await publishedIds(folder), [second?.id]);
    clock.ms += waitMs;
    await withdrawKeys(
      folder,
      () => clock.ms,
      async () => void (await secrets.tend()),
    );
    const { withdrawnKeys, retiredKeys } = await readSecretContent(folder);
    assert.deepEqual([withdrawnKeys, retiredKeys], [[...(isNamed ? [first] : []), second?.id], []]);
  }
});

test('a file of the first version keeps its key and all else', async (t) => {
  const folder = await temporaryFolder(t);
  const before = await openSecrets(folder, { mayCreate: true });
  const path = join(folder, 'auth', 'secrets.json');
  const { ticketKeys, ...lasting } = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...lasting, version: 1, ticketKey: ticketKeys[0].key }));
  const after = await openSecrets(folder, { mayCreate: false });
  assert.equal(keyNow(after).id, keyNow(before).id);
  assert.deepEqual([after.master, after.opaqueSetup, after.dummyRecord], [before.master, before.opaqueSetup, before.dummyRecord]);
  assert.ok(after.boxKey.equals(before.boxKey));
  const upgraded = JSON.parse(await readFile(path, 'utf8'));
  assert.deepEqual([upgraded.version, upgraded.ticketKeys.length, 'ticketKey' in upgraded], [2, 1, false]);
  assert.ok(Math.abs(upgraded.ticketKeys[0].signsFromMs - Date.now()) < 60_000, 'as old as the file was');
});

test('two who change the keys at once lose nothing of each other', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = { ms: 1_800_000_000_000 };
  const secrets = await openSecrets(folder, { mayCreate: true, now: () => clock.ms });
  clock.ms += ROTATION.everyMs;
  const opening = openSecrets(folder, { mayCreate: false, now: () => clock.ms });
  const [made] = await Promise.allSettled([rotateKeys(folder, clock.ms), secrets.tend(), opening]);
  const ids = (await readSecretContent(folder)).ticketKeys.map(({ id }) => id);
  assert.equal(ids.length, 2);
  assert.deepEqual(await publishedIds(folder), ids);
  if (made.status === 'fulfilled')
    assert.deepEqual(
      made.value.map(({ id }) => id),
      ids,
    );
  else assert.equal((made.reason as { code?: string }).code, 'busy'); // the one that is due came first
  for (const one of [secrets, await opening]) {
    await one.tend();
    assert.equal(one.signingKeyAt(clock.ms + ROTATION.aheadMs).id, ids[1]);
  }
});

test('killed between the two files, a rotation is one that has not happened or one that has', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = { ms: 1_800_000_000_000 };
  const secrets = await openSecrets(folder, { mayCreate: true, now: () => clock.ms });
  const first = secrets.signingKeyAt(clock.ms).id;
  const path = join(folder, 'auth', 'secrets.json');
  const before = await readFile(path, 'utf8');
  await rotateKeys(folder, clock.ms);
  await writeFile(path, before, { mode: 0o600 }); // as it is when only the published keys were written
  clock.ms += 2 * ROTATION.aheadMs;
  for (const reopened of [secrets, await openSecrets(folder, { mayCreate: false, now: () => clock.ms })]) {
    await reopened.tend();
    assert.equal(reopened.signingKeyAt(clock.ms).id, first);
    assert.ok((await publishedIds(folder)).includes(first));
  }
  await rotateKeys(folder, clock.ms);
  await secrets.tend();
  assert.notEqual(secrets.signingKeyAt(clock.ms + ROTATION.aheadMs).id, first);
});

test('what is wrong with the file while the daemon runs changes nothing about the keys it has', async (t) => {
  const folder = await temporaryFolder(t);
  const secrets = await openSecrets(folder, { mayCreate: true });
  const { id } = keyNow(secrets);
  const path = join(folder, 'auth', 'secrets.json');
  const good = await readFile(path, 'utf8');
  for (const text of ['', good.slice(0, 300)]) {
    await writeFile(path, text);
    await assert.rejects(secrets.tend(), { code: 'data_folder_unusable' });
    assert.equal(keyNow(secrets).id, id);
  }
  await rm(path);
  await assert.rejects(secrets.tend(), { code: 'data_folder_unusable' });
  await writeFile(path, good, { mode: 0o600 });
  await secrets.tend();
  assert.equal(keyNow(secrets).id, id);
});
