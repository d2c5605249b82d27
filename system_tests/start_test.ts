import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { privateEnvironment } from '../processes.ts';

const START = fileURLToPath(new URL('../start.ts', import.meta.url));
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-start-'));
});
after(() => rm(folder, { recursive: true, force: true }));

type Started = { child: ChildProcess; said: (pattern: RegExp) => Promise<string[]>; ended: Promise<number | null> };

/** Runs start.ts; `said` waits until what it printed matches, and gives the groups of the match. */
function npmStart(env: NodeJS.ProcessEnv): Started {
  const child = spawn(process.execPath, [START], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      printed += bytes.toString();
      for (const look of waiting) look();
    });
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const said = (pattern: RegExp): Promise<string[]> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(printed);
        if (match === null) return;
        waiting.delete(look);
        resolve([...match]);
      };
      waiting.add(look);
      look();
      ended.then(() => reject(new Error(`ended without saying ${pattern}: ${printed}`)), reject);
    });
  return { child, said, ended };
}

test('npm start says what to type next, brings killed processes back within half a minute, and ends both on SIGTERM', async () => {
  const env = await privateEnvironment(folder, process.env);
  const { child, said, ended } = npmStart(env);
  try {
    const [, auth] = await said(/authentication {2}udp:\S+ {2}process (\d+)/);
    const [, server] = await said(/files\s+http:\S+ {2}process (\d+)/);
    await said(new RegExp(`DRIFTLESS_AUTH=127.0.0.1:${env.DRIFTLESS_AUTH_PORT} npx driftless register alice`));

    const since = Date.now();
    process.kill(Number(server), 'SIGKILL');
    process.kill(Number(auth), 'SIGKILL');
    await said(/driftless server is back/);
    await said(/driftless auth is back/);
    assert.ok(Date.now() - since < 30_000); // it is a second, and starting a process takes what the machine has to spare
    assert.equal((await fetch(`http://127.0.0.1:${env.DRIFTLESS_HTTP_PORT}/readyz`)).status, 200);
  } finally {
    child.kill('SIGTERM');
  }
  assert.equal(await ended, 0);
  await assert.rejects(fetch(`http://127.0.0.1:${env.DRIFTLESS_HTTP_PORT}/readyz`));
});

test('npm start ends with npm, also when npm alone gets the signal', async () => {
  const env = await privateEnvironment(folder, process.env);
  const npm = spawn('npm', ['start'], { cwd: dirname(START), env, stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  const printed = createInterface(npm.stdout);
  for await (const line of printed) if (line.includes('Ctrl-C')) break;
  npm.kill('SIGTERM');
  const gone = async (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${env.DRIFTLESS_HTTP_PORT}/readyz`).then(
      () => false,
      () => true,
    );
  while (!(await gone())) await sleep(50);
});

test('npm start says which port is taken and ends with 1, leaving nothing running', async () => {
  const env = await privateEnvironment(folder, process.env);
  const http = createServer().listen(Number(env.DRIFTLESS_HTTP_PORT), '127.0.0.1');
  await once(http, 'listening');
  const first = npmStart(env);
  await first.said(new RegExp(`${env.DRIFTLESS_HTTP_PORT}`));
  assert.equal(await first.ended, 1);
  http.close();

  const udp = createSocket('udp4').bind(Number(env.DRIFTLESS_AUTH_PORT), '127.0.0.1');
  await once(udp, 'listening');
  const second = npmStart(env);
  await second.said(new RegExp(`${env.DRIFTLESS_AUTH_PORT}`));
  assert.equal(await second.ended, 1);
  udp.close();
});
