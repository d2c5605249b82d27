import assert from 'node:assert/strict';
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FrameParser, FrameWriter, payloadOf } from '../../Models/frames.ts';
import { readOperation, writeResult } from '../../Models/operation_frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import { END_FRAME, scriptedHttp } from '../testing/scripted_http.ts';
import { noCounts, type TransferFailure } from './jobs.ts';
import type { ManifestCache } from './manifest_cache.ts';
import { PushStream } from './push_stream.ts';
import { PutShard } from './put_shard.ts';

const NO_CACHE: ManifestCache = {
  recall: async () => null,
  remember: () => undefined,
  forget: () => undefined,
  settle: async () => undefined,
};

type Sent = { readonly number: number; readonly path: string };

/** Puts a folder that the server does not have. @param answer what each push does with the operations that came in it */
async function putFolder(source: string, answer: (push: number, body: AsyncIterable<Sent>) => AsyncIterable<Uint8Array>) {
  const counts = noCounts();
  const failures: TransferFailure[] = [];
  let pushes = 0;
  const http = scriptedHttp((route, body) => {
    if (route === ROUTES.have) return [Buffer.alloc((body as Buffer).length / DIGEST_BYTES)];
    pushes += 1;
    return answer(pushes, operationsIn(body as AsyncIterable<Uint8Array>));
  });
  const events = {
    count(more: Partial<typeof counts>) {
      for (const [name, value] of Object.entries(more)) counts[name as keyof typeof counts] += value;
    },
    fail: (failure: TransferFailure) => void failures.push(failure),
  };
  const shard = new PutShard({ http, events, cache: NO_CACHE, compress: false });
  await shard.run([{ kind: 'folder', local: source, remote: '/d', fresh: true, root: source }]);
  await shard.finish();
  return { counts, failures };
}

async function* operationsIn(body: AsyncIterable<Uint8Array>): AsyncGenerator<Sent> {
  const parser = new FrameParser();
  for await (const bytes of body) {
    const sent: Sent[] = [];
    parser.push(bytes, (frame) => {
      if (frame.type !== FRAME.operation) return;
      const { number, operation } = readOperation(payloadOf(frame));
      sent.push({ number, path: 'path' in operation ? operation.path : '' });
    });
    yield* sent;
  }
}

function done(number: number): Uint8Array {
  const writer = new FrameWriter(64);
  writeResult(writer, number, { status: 'done', nodeId: 1, version: 1 });
  return writer.take();
}

async function sourceWith(t: TestContext, files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

test('the push breaks and a file is gone by then: it is named, and all others are sent again', async (t) => {
  const source = await sourceWith(t, { a: 'a', b: 'b', c: 'c', d: 'd' });
  const stored: string[] = [];
  const { counts, failures } = await putFolder(source, async function* (push, body) {
    if (push === 1) {
      for await (const { path } of body) if (path === '/d/d') break;
      await unlink(join(source, 'a'));
      throw new AppError('server_unreachable', 'the connection was lost');
    }
    for await (const { number, path } of body) {
      stored.push(path);
      yield done(number);
    }
    yield END_FRAME;
  });
  assert.deepEqual(stored.sort(), ['/d', '/d/b', '/d/c', '/d/d']);
  assert.deepEqual(
    failures.map(({ path, code }) => [path, code]),
    [[join(source, 'a'), 'local_io']],
  );
  assert.equal(counts.filesDone, 3);
});

test('a push that breaks while a file is sent: each file is sent once more and counted once', async (t) => {
  const small = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`s${i}`, Buffer.alloc(400_000, i)]));
  const source = await sourceWith(t, { ...small, long: Buffer.alloc(12 << 20, 'driftless ') });
  for (const breaksAt of ['/d/s1', '/d/long']) {
    const stored: string[] = [];
    const { counts, failures } = await putFolder(source, async function* (push, body) {
      for await (const { number, path } of body) {
        if (push === 1 && path === breaksAt) throw new AppError('server_unreachable', 'the connection was lost');
        if (push === 1) continue;
        stored.push(path);
        yield done(number);
      }
      yield END_FRAME;
    });
    assert.deepEqual(failures, []);
    assert.deepEqual(stored.sort(), ['/d', '/d/long', ...Object.keys(small).map((name) => `/d/${name}`)].sort(), breaksAt);
    assert.equal(counts.filesFound, 13);
    assert.equal(counts.filesDone, 13);
  }
});

test('a server that ends its answer early: the push fails and does not wait for ever', { timeout: 30_000 }, async () => {
  const http = scriptedHttp(() => [END_FRAME]);
  const stream = new PushStream(http, () => undefined);
  const send = async (): Promise<void> => {
    for (let i = 0; i < 8; i += 1) await stream.send(new Uint8Array(4 << 20));
  };
  await assert.rejects(send(), { code: 'server_unreachable' });
});
