import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { FRAME, type Frame, FrameParser, FrameWriter, payloadOf } from '../../../Models/frames.ts';
import { type OperationFrame, readOperation, writeError, writeResult } from '../../../Models/operation_frames.ts';
import type { OperationResult } from '../../../Models/operations.ts';
import { ROUTES } from '../../../Models/routes.ts';
import type { Http } from '../../http.ts';
import { memoryCache, uploadOf } from '../../testing/remote_client.ts';
import { END_FRAME, scriptedHttp } from '../../testing/scripted_http.ts';
import { systemClock } from '../clock.ts';
import { openMemoryDisk } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume } from '../testing/memory_disk_volume.ts';
import { pushItems } from './http_remote_push.ts';
import type { PushItem } from './remote.ts';

const ATTEMPTS_ARE_QUICK = { ...systemClock, after: (ms: number, then: () => void) => systemClock.after(ms / 100, then) };

type Received = {
  readonly stream: string;
  readonly chunks: number;
  readonly numbers: number[];
  readonly operations: OperationFrame[];
};
/** What a server says to an operation: a result, `cut` (nothing more comes), or an error that ends the stream. */
type Says = (number: number, operation: OperationFrame, stream: number) => OperationResult | 'cut' | { readonly error: string };

function openScripted(says: Says, has: (digest: string) => boolean = () => false) {
  const streams: Received[] = [];
  const scripted = scriptedHttp(async function* (route, body) {
    if (route === ROUTES.have) {
      const digests = body as Buffer;
      yield Buffer.from(Array.from({ length: digests.length / 32 }, (_, i) => Number(has(digests.toString('hex', i * 32, i * 32 + 32)))));
      return;
    }
    assert.equal(route, ROUTES.push);
    const received = streams.at(-1) as { chunks: number } & Received;
    const parser = new FrameParser();
    for await (const bytes of body as AsyncIterable<Uint8Array>) {
      const frames: Frame[] = [];
      parser.push(bytes.slice(), (frame) => frames.push(frame));
      for (const frame of frames) {
        if (frame.type === FRAME.end) yield END_FRAME;
        if (frame.type === FRAME.chunk) (received as { chunks: number }).chunks += 1;
        if (frame.type !== FRAME.operation) continue;
        const { number, operation } = readOperation(payloadOf(frame).slice());
        received.numbers.push(number);
        received.operations.push(operation);
        const said = says(number, operation, streams.length);
        if (said === 'cut') return;
        const writer = new FrameWriter(256);
        if ('error' in said) writeError(writer, { code: said.error, message: '' });
        else writeResult(writer, number, said);
        yield writer.take();
        if ('error' in said) return;
      }
    }
  });
  const http: Http = {
    ...scripted,
    stream(method, route, options = {}) {
      if (route === ROUTES.push) streams.push({ stream: String(options.query?.stream), chunks: 0, numbers: [], operations: [] });
      return scripted.stream(method, route, options);
    },
  };
  return { http, streams };
}

const DONE: OperationResult = { status: 'done', nodeId: 1, version: 1 };
const mkdir = (key: number): PushItem => ({
  key,
  operation: { kind: 'mkdir', path: `@1/${key}`, existingOk: true, mode: null, mtimeUs: null },
});

function openDisk() {
  const volume = new MemoryVolume({ now: () => 1000 });
  return { disk: openMemoryDisk(volume), person: otherProgram(volume) };
}

async function pushScripted(http: Http, items: Iterable<PushItem>) {
  const words: string[] = [];
  await pushItems(
    { http, cache: memoryCache(new Map()), clock: ATTEMPTS_ARE_QUICK, compress: false },
    items,
    (key, { result, snapshot }) => {
      words.push(`${key} ${result.status === 'refused' ? result.code : result.status}${snapshot === null ? '' : ' read'}`);
    },
  );
  return words;
}

test('after a cut the operations without an answer are sent again, under their numbers and the same name', async () => {
  const { disk, person } = openDisk();
  person.write('f', randomBytes(1000));
  const { http, streams } = openScripted((number, _operation, stream) => (stream === 1 && number === 2 ? 'cut' : DONE));
  const items = [mkdir(10), mkdir(11), { key: 12, upload: uploadOf(disk, 'f', '@1/f') }, mkdir(13)];
  assert.deepEqual(await pushScripted(http, items), ['10 done', '11 done', '12 done read', '13 done']);
  assert.equal(streams.length, 2);
  assert.match(streams[0]?.stream ?? '', /^[0-9a-f]{32}$/);
  assert.equal(streams[1]?.stream, streams[0]?.stream);
  assert.deepEqual(streams[1]?.numbers, [2, 3]);
  assert.equal(streams[1]?.chunks, 1);
});

test('content that came before the cut is not sent again', async () => {
  const { disk, person } = openDisk();
  person.write('f', randomBytes(1000));
  const { http, streams } = openScripted(
    (_number, _operation, stream) => (stream === 1 ? 'cut' : DONE),
    () => true,
  );
  assert.deepEqual(await pushScripted(http, [{ key: 1, upload: uploadOf(disk, 'f', '@1/f') }]), ['1 done read']);
  assert.deepEqual(
    streams.map(({ chunks }) => chunks),
    [1, 0],
  );
});

test('a file that changed after the cut is not sent as what it was: its operation alone tells whether it had been done', async () => {
  for (const [answer, word] of [
    [DONE, '1 done read'],
    [{ status: 'refused', code: 'chunk_missing', message: '' }, '1 file_changed'],
  ] as const) {
    const { disk, person } = openDisk();
    person.write('f', randomBytes(1000));
    const { http, streams } = openScripted((_number, _operation, stream) => {
      if (stream > 1) return answer;
      person.write('f', randomBytes(2000));
      return 'cut';
    });
    assert.deepEqual(await pushScripted(http, [{ key: 1, upload: uploadOf(disk, 'f', '@1/f') }]), [word]);
    assert.equal(streams[1]?.chunks, 0);
    assert.deepEqual(streams[1]?.operations, streams[0]?.operations);
  }
});

test('a server that does not answer is given up after a few attempts, and one that gets on is not', async () => {
  const silent = openScripted(() => 'cut');
  await assert.rejects(pushScripted(silent.http, [mkdir(1)]), { code: 'server_unreachable' });
  assert.equal(silent.streams.length, 6);
  let cuts = 0;
  const slow = openScripted(() => {
    cuts += 1;
    return cuts % 4 === 0 ? DONE : 'cut';
  });
  const items = Array.from({ length: 10 }, (_, key) => mkdir(key));
  assert.deepEqual(
    await pushScripted(slow.http, items),
    items.map(({ key }) => `${key} done`),
  );
});

test('what ends all of it is thrown, after what was answered was handed over', async () => {
  const words: string[] = [];
  const { http, streams } = openScripted((number) => (number === 1 ? { error: 'storage_full' } : DONE));
  const pushing = pushItems(
    { http, cache: memoryCache(new Map()), clock: ATTEMPTS_ARE_QUICK, compress: false },
    [mkdir(1), mkdir(2), mkdir(3)],
    (key) => words.push(String(key)),
  );
  await assert.rejects(pushing, { code: 'storage_full' });
  assert.deepEqual(words, ['1']);
  assert.equal(streams.length, 1);
});

test('a server that answers what was not asked is not believed', async () => {
  for (const said of ['twice', 'foreign'] as const) {
    const http = scriptedHttp(async function* (_route, body) {
      for await (const _ of body as AsyncIterable<Uint8Array>) {
        const writer = new FrameWriter(256);
        writeResult(writer, said === 'foreign' ? 77 : 0, DONE);
        if (said === 'twice') writeResult(writer, 0, DONE);
        yield writer.take();
      }
    });
    await assert.rejects(pushScripted(http, [mkdir(1)]), { code: 'protocol_mismatch' });
  }
});

test('an empty push asks nothing', async () => {
  const { http, streams } = openScripted(() => DONE);
  assert.deepEqual(await pushScripted(http, []), []);
  assert.equal(streams.length, 0);
});

test('what is believed to be there goes without bytes, and behind the others with them when it is not', async () => {
  const { disk, person } = openDisk();
  for (const name of ['a', 'b']) person.write(name, randomBytes(1000));
  let received = 0;
  const { http, streams } = openScripted((number) => {
    received += 1;
    return received === 1 ? { status: 'refused', code: 'chunk_missing', message: '' } : { ...DONE, version: number };
  });
  const known = (): boolean => true;
  const items = ['a', 'b'].map((name, key) => ({ key, upload: uploadOf(disk, name, `@1/${name}`, { known }) }));
  assert.deepEqual(await pushScripted(http, items), ['1 done read', '0 done read']);
  assert.deepEqual(
    streams.map(({ chunks, numbers }) => [chunks, numbers]),
    [
      [0, [0, 1]],
      [1, [2]],
    ],
  );
});
