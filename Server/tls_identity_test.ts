import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { pinOf, readServerPins, requestedReplacement, requestKeyReplacement } from '../Storage/server_pins.ts';
import { type KeyPair, openGivenIdentity, openOwnIdentity, type TlsIdentity } from './tls_identity.ts';

const DAY_MS = 86_400_000;

async function place(t: TestContext) {
  const dataFolder = await temporaryFolder(t);
  const clock = { ms: Date.now() };
  const open = (): Promise<TlsIdentity> => openOwnIdentity({ dataFolder, names: ['localhost', '127.0.0.1'], now: () => clock.ms });
  return { dataFolder, clock, open, file: join(dataFolder, 'server', 'tls.json') };
}
const keyPin = ({ key }: KeyPair): string => pinOf(createPublicKey(key));
const certificatePin = ({ cert }: KeyPair): string => pinOf(new X509Certificate(cert).publicKey);

async function refused(work: Promise<unknown>, code: ErrorCode, pattern: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && error.code === code && pattern.test(error.message));
}

test('the key is made once, for its owner only, and the pins of it and of the next one are published before it is used', async (t) => {
  const { dataFolder, open, file } = await place(t);
  const first = (await open()).current();
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const certificate = new X509Certificate(first.cert);
  assert.ok(certificate.verify(createPublicKey(first.key)), 'its own key signed it');
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
  const pins = await readServerPins(dataFolder);
  assert.equal(pins.length, 2);
  assert.equal(pins[0], keyPin(first));
  assert.deepEqual((await open()).current(), first);
  assert.deepEqual(await readServerPins(dataFolder), pins);
  assert.deepEqual((await readdir(join(dataFolder, 'server'))).sort(), ['tls.json', 'tls_pins.json']);
});

test('a key that was announced takes the place of the present one when somebody asks, once for each asking', async (t) => {
  const { dataFolder, open } = await place(t);
  const identity = await open();
  const before = await readServerPins(dataFolder);
  const told: KeyPair[] = [];
  const announced: Promise<readonly string[]>[] = [];
  identity.onChange((pair) => {
    told.push(pair);
    announced.push(readServerPins(dataFolder));
  });
  await identity.refresh();
  assert.deepEqual(told, [], 'nobody asked');
  assert.equal(await requestKeyReplacement(dataFolder), before[0]);
  await identity.refresh();
  await identity.refresh();
  assert.equal(certificatePin(identity.current()), before[1]);
  assert.deepEqual(told, [identity.current()]);
  assert.deepEqual(await Promise.all(announced), [before], 'in use before the old one is forgotten');
  const after = await readServerPins(dataFolder);
  assert.equal(after[0], before[1]);
  assert.ok(!before.includes(after[1] ?? ''), 'there is a next one again');
  assert.equal(await requestedReplacement(dataFolder), null);
});

test('a request that was carried out before a kill is not carried out again', async (t) => {
  const { dataFolder, open } = await place(t);
  const identity = await open();
  await requestKeyReplacement(dataFolder);
  const request = await readFile(join(dataFolder, 'server', 'replace_key.json'));
  await identity.refresh();
  const present = identity.current();
  await writeFile(join(dataFolder, 'server', 'replace_key.json'), request); // as it is when the kill comes before it is forgotten
  const again = await open();
  await again.refresh();
  assert.deepEqual(again.current(), present);
});

test('pins that could not be published are published with the next look', async (t) => {
  const { dataFolder, open } = await place(t);
  const identity = await open();
  await requestKeyReplacement(dataFolder);
  const pinsFile = join(dataFolder, 'server', 'tls_pins.json');
  await rm(pinsFile);
  await mkdir(join(pinsFile, 'in the way'), { recursive: true });
  await assert.rejects(identity.refresh());
  await rm(pinsFile, { recursive: true });
  await identity.refresh();
  assert.equal((await readServerPins(dataFolder))[0], keyPin(identity.current()));
});

test('long before a certificate runs out another takes its place', async (t) => {
  const { dataFolder, clock, open } = await place(t);
  const identity = await open();
  const [, next] = await readServerPins(dataFolder);
  const first = identity.current();
  clock.ms += 299 * DAY_MS;
  await identity.refresh();
  assert.deepEqual(identity.current(), first);
  clock.ms += 2 * DAY_MS;
  await identity.refresh();
  assert.equal(certificatePin(identity.current()), next);
  const left = new X509Certificate(identity.current().cert).validToDate.getTime() - clock.ms;
  assert.ok(left > 390 * DAY_MS && left < 398 * DAY_MS);
});

test('a file that is damaged, or that others may use, ends it with the reason and without a word of what is in it', async (t) => {
  const { open, file } = await place(t);
  const secret = (await open()).current().key.split('\n')[1] ?? '';
  await chmod(file, 0o640);
  await refused(open(), 'data_folder_unusable', /chmod 600/);
  await chmod(file, 0o600);
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, -40));
  await refused(open(), 'data_folder_unusable', /damaged/);
  const error: unknown = await open().catch((thrown: unknown) => thrown);
  assert.ok(error instanceof AppError && error.cause === undefined && !error.message.includes(secret));
});

test('a given certificate is taken up anew when its files change, announced before it is used', async (t) => {
  const { dataFolder, clock } = await place(t);
  const other = await place(t);
  const makers = await Promise.all([place(t), place(t)]);
  const pairs = await Promise.all(makers.map(async ({ open }) => (await open()).current()));
  const [first, second] = pairs as [KeyPair, KeyPair];
  const given = { certificate: join(other.dataFolder, 'cert.pem'), key: join(other.dataFolder, 'key.pem') };
  const put = (pair: KeyPair) => Promise.all([writeFile(given.certificate, pair.cert), writeFile(given.key, pair.key)]);
  await put(first);
  const identity = await openGivenIdentity(given, { dataFolder, now: () => clock.ms });
  assert.deepEqual(identity.current(), first);
  assert.deepEqual(await readServerPins(dataFolder), [keyPin(first)]);

  await writeFile(given.certificate, second.cert); // the key comes later
  await refused(identity.refresh(), 'config_invalid', /DRIFTLESS_TLS_KEY/);
  await writeFile(given.key, second.key);
  await identity.refresh();
  assert.deepEqual(identity.current(), first);
  assert.deepEqual(await readServerPins(dataFolder), [keyPin(first), keyPin(second)]);
  clock.ms += 3000;
  await identity.refresh();
  assert.deepEqual(identity.current(), second);
  assert.deepEqual(await readServerPins(dataFolder), [keyPin(second)]);
});

test('a certificate and a key that do not fit each other are refused', async (t) => {
  const { dataFolder, open } = await place(t);
  const pair = (await open()).current();
  const stranger = (await (await place(t)).open()).current();
  const given = { certificate: join(dataFolder, 'cert.pem'), key: join(dataFolder, 'key.pem') };
  const start = () => openGivenIdentity(given, { dataFolder, now: Date.now });
  await refused(start(), 'config_invalid', /cannot be read/);
  await writeFile(given.certificate, pair.cert);
  await writeFile(given.key, stranger.key);
  await refused(start(), 'config_invalid', /is not the key of/);
  await writeFile(given.key, 'not a key');
  await refused(start(), 'config_invalid', /is not PEM/);
});
