import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DATAGRAM } from '../Models/datagrams.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';

const MTU = 1280; // the least that IPv6 allows
const HEADER_BYTES = { ip6: 40, udp: 8 } as const;
const MAIN = fileURLToPath(new URL('small_mtu_main.ts', import.meta.url));

test('a datagram fits the smallest network that IPv6 allows', () => {
  assert.ok(DATAGRAM.clientBytes + HEADER_BYTES.ip6 + HEADER_BYTES.udp <= MTU);
});

const ownNetwork = (words: string) => ['--net', 'sh', '-c', `ip link set lo mtu ${MTU} up && ${words}`];
const canHaveNetwork = spawnSync('unshare', ownNetwork('true'), { stdio: 'ignore' }).status === 0;
const skip = canHaveNetwork ? false : 'needs root, unshare and ip: NOT SHOWN on this machine';

test('on such a network registration, login, renewal and logout work, and nothing is cut into pieces', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const words = [process.execPath, MAIN, join(folder, 'data')].map((word) => `'${word}'`).join(' ');
  const child = spawn('unshare', ownNetwork(`exec ${words}`), { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert.equal(code, 0);
  const { ours, tooLong } = JSON.parse(said) as { ours: number; tooLong: number };
  assert.equal(ours, 0);
  assert.ok(tooLong > 0, 'what is too long is seen to be cut');
});
