import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BIN = fileURLToPath(new URL('./driftless.js', import.meta.url));
const HELP_MS_MAX = 200;
const HELP_STARTS_MAX = 6; // of an empty program; it is three to four

let home: string;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'driftless-cli-'));
});
after(() => rm(home, { recursive: true, force: true }));

function start(node: string, words: readonly string[]): ChildProcess {
  return spawn(node, [BIN, ...words], {
    env: { HOME: home, DRIFTLESS_HOME: join(home, 'profile') },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

async function run(
  words: readonly string[],
  input = '',
  node = process.execPath,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = start(node, words);
  assert(child.stdin && child.stdout && child.stderr);
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, out, err };
}

/** A Node older than the pinned one, as a fresh machine has it; `null` where this machine has none. */
async function olderNode(): Promise<string | null> {
  const found = await promisify(execFile)('which', ['-a', 'node']).catch(() => ({ stdout: '' }));
  for (const node of found.stdout.split('\n').filter((path) => path !== '' && !path.includes('node_modules'))) {
    const { stdout } = await promisify(execFile)(node, ['--version']);
    if (Number.parseInt(stdout.slice(1), 10) < 26) return node;
  }
  return null;
}

async function fastest(times: number, work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < times; n += 1) {
    const startedAt = performance.now();
    await work();
    best = Math.min(best, performance.now() - startedAt);
  }
  return best;
}

/** @returns the processor time of five runs, ms, as the shell counts it: what else the machine does is not in it */
async function processorMs(...command: string[]): Promise<number> {
  const loop = 'for n in 1 2 3 4 5; do "$@" > /dev/null; done; times';
  const { stdout } = await promisify(execFile)('sh', ['-c', loop, 'sh', ...command]);
  const ofChildren = stdout.trim().split('\n').at(-1) ?? '';
  const seconds = Array.from(ofChildren.matchAll(/(\d+)m([\d.]+)s/g), ([, minutes, rest]) => Number(minutes) * 60 + Number(rest));
  return 1000 * seconds.reduce((sum, each) => sum + each);
}

/** As fast as is promised or, on a machine that is slow or has other work, no more than a few starts of an empty program take there. */
async function assertHelpIsQuick(t: TestContext, ...nodes: string[]): Promise<void> {
  const [node = process.execPath] = nodes;
  const ms = await fastest(7, async () => assert.match((await run(['--help'], '', node)).out, /Usage: driftless/));
  t.diagnostic(`${ms.toFixed(0)} ms`);
  if (ms < HELP_MS_MAX) return;
  const ours = await processorMs(node, BIN, '--help');
  let empty = 0;
  for (const each of nodes) empty += await processorMs(each, '-e', '0');
  t.diagnostic(`${ours} ms of processor for five, ${empty} ms for programs that do nothing`);
  assert(ours < HELP_STARTS_MAX * empty);
}

describe('driftless', () => {
  it(`answers --help in under ${HELP_MS_MAX} ms, and writes nothing`, async (t) => {
    await assertHelpIsQuick(t, process.execPath);
    assert.deepEqual(await readdir(home), []);
  });

  it('goes on in the pinned runtime when an older Node starts it, and passes exit code and output on', async (t) => {
    const node = await olderNode();
    if (node === null) return t.skip('no older Node here');
    await assertHelpIsQuick(t, node, process.execPath);
    assert.deepEqual([(await run(['sl'], '', node)).code, (await run(['--version'], '', node)).code], [2, 0]);
  });

  it('is ended by a signal, also through the older Node that started it', async () => {
    for (const node of [process.execPath, await olderNode()]) {
      if (node === null) continue;
      const child = start(node, ['shell']);
      assert(child.stdin && child.stdout);
      child.stdin.write('--version\n');
      await once(child.stdout, 'data'); // it runs, and listens to signals
      child.kill('SIGINT');
      const [code] = await once(child, 'close');
      assert.equal(code, 130);
    }
  });

  it('without a profile is not logged in: exit 3', async () => {
    const { code, out, err } = await run(['ls', '--json']);
    assert.deepEqual([code, out], [3, '']);
    assert.match(err, /^driftless: .*driftless login NAME.*driftless register NAME.*\(not_logged_in\)\n$/);
  });

  it('without a terminal to ask for the password is a matter of usage: exit 2', async () => {
    const { code, err } = await run(['register', 'alice']);
    assert.equal(code, 2);
    assert.match(err, /DRIFTLESS_PASSWORD.*\(request_invalid\)\n$/);
  });

  it('has a shell that reads commands from a pipe', async () => {
    const { code, out, err } = await run(['shell'], 'mv --help\nnonsense\nquit\n');
    assert.equal(code, 2);
    assert.match(out, /Usage: driftless mv/);
    assert.match(err, /unknown command 'nonsense'; see "driftless --help"\n/);
  });

  it('stops quietly when the reader of its output has seen enough', async () => {
    const child = start(process.execPath, ['shell']);
    assert(child.stdin && child.stdout && child.stderr);
    const errors = text(child.stderr);
    child.stdout.destroy();
    child.stdin.end('--help\n'.repeat(200));
    await once(child, 'close');
    assert.equal(await errors, '');
  });
});
