import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { AppError } from '../../../Models/errors.ts';
import { temporaryFolder } from '../../../Models/testing/temporary_folder.ts';
import { askControl, type ControlHandler, serveControl } from './control.ts';
import type { ControlRequest } from './control_messages.ts';

async function newFolder(t: TestContext, depth = 0): Promise<string> {
  const base = await temporaryFolder(t);
  const folder = join(base, ...Array.from({ length: depth }, () => 'a folder with a long name'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function rows<T>(folder: string, request: ControlRequest, schema: z.ZodType<T>): Promise<T[] | null> {
  const answer = await askControl(folder, request, schema);
  return answer === null ? null : Array.fromAsync(answer);
}

const echo: ControlHandler = async function* (request) {
  yield request;
};

for (const depth of [0, 10]) {
  test(`requests are answered, for the owner only${depth === 0 ? '' : ', also where the path is too long for a socket'}`, async (t) => {
    const folder = await newFolder(t, depth);
    await using _serving = await serveControl(folder, echo);
    assert.equal((await stat(join(folder, 'control.sock'))).mode & 0o777, 0o600);
    const asked: ControlRequest[] = [
      { type: 'status' },
      { type: 'explain', path: 'a/\u2028 "b"\n' },
      { type: 'resolve', path: 'x', keep: 'mine' },
      { type: 'limits', up: 1, down: null },
    ];
    const answers = await Promise.all(asked.map((request) => rows(folder, request, z.unknown())));
    assert.deepEqual(
      answers,
      asked.map((request) => [request]),
    );
  });
}

test('many rows come as they are made, in order', async (t) => {
  const folder = await newFolder(t);
  const line = 'x'.repeat(1000);
  let made = 0;
  const handle: ControlHandler = async function* () {
    for (; made < 20_000; made += 1) yield { made, line };
  };
  await using _serving = await serveControl(folder, handle);
  const answer = await askControl(folder, { type: 'dry-run' }, z.object({ made: z.int() }));
  assert(answer !== null);
  let expected = 0;
  for await (const row of answer) {
    if (expected === 0) assert(made < 20_000, 'all of it was made before anything was read');
    assert.equal(row.made, expected);
    expected += 1;
  }
  assert.equal(expected, 20_000);
});

test('a failure arrives as the error that it is, and an unexpected one says nothing of what is inside', async (t) => {
  const folder = await newFolder(t);
  const handle: ControlHandler = async function* (request) {
    yield 1;
    if (request.type === 'approve') throw new AppError('not_found', 'nothing is held');
    throw new TypeError('secret of x is not a function');
  };
  await using _serving = await serveControl(folder, handle);
  await assert.rejects(rows(folder, { type: 'approve' }, z.unknown()), { code: 'not_found', message: 'nothing is held' });
  await assert.rejects(rows(folder, { type: 'pause' }, z.unknown()), { code: 'internal', message: /^it failed/ });
});

test('where nobody answers, that is told from a failure: never started, ended, or killed', async (t) => {
  const folder = await newFolder(t);
  assert.equal(await rows(folder, { type: 'status' }, z.unknown()), null);
  const serving = await serveControl(folder, echo);
  assert.deepEqual(await rows(folder, { type: 'status' }, z.unknown()), [{ type: 'status' }]);
  await serving[Symbol.asyncDispose]();
  assert.equal(await rows(folder, { type: 'status' }, z.unknown()), null);
  const left = createServer().listen(join(folder, 'other.sock'));
  await once(left, 'listening');
  t.after(() => left.close());
  await writeFile(join(folder, 'control.sock'), ''); // what is left there is no obstacle
  await using _serving = await serveControl(folder, echo);
  assert.deepEqual(await rows(folder, { type: 'status' }, z.unknown()), [{ type: 'status' }]);
});

test('what is not a request is refused, however long it is, and hurts nobody else', async (t) => {
  const folder = await newFolder(t);
  await using _serving = await serveControl(folder, echo);
  const bad = ['', '{', 'null', '{"type":"format"}', '{"type":"explain"}', '{"type":"status","x":1}', 'x'.repeat(100_000)];
  bad.push(JSON.stringify({ type: 'explain', path: 'x'.repeat(5000) }), '{"type":"limits","up":-1,"down":0.5}');
  for (const line of bad) {
    const socket = createConnection(join(folder, 'control.sock'));
    socket.on('error', () => undefined); // the rest of what is too long is not waited for
    socket.write(`${line}\n`);
    assert.match(await text(socket).catch(() => '(request_invalid)'), /request_invalid/, line.slice(0, 50));
  }
  assert.deepEqual(await rows(folder, { type: 'status' }, z.unknown()), [{ type: 'status' }]);
});

test('an answer that breaks off, or is not what was expected, is a failure and no answer', async (t) => {
  const folder = await newFolder(t);
  for (const said of ['', '{"row":{"n":1}}\n', '{"row":{"n":"x"}}\n{"end":true}\n', 'hello\n', '{"end":false}\n']) {
    const server = createServer((socket) => socket.resume().end(said)).listen(join(folder, 'control.sock'));
    await once(server, 'listening');
    await assert.rejects(rows(folder, { type: 'status' }, z.object({ n: z.int() })), { code: 'local_io' }, said);
    await new Promise((resolve) => server.close(resolve));
  }
});
