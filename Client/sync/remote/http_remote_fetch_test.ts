import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { CHUNK_FRAME_HEADER_BYTES, DIGEST_BYTES, ENCODING, writeRawChunkHeader } from '../../../Models/chunk_frames.ts';
import { contentId } from '../../../Models/content_id.ts';
import { FRAME, FrameWriter } from '../../../Models/frames.ts';
import { writeManifestRuns } from '../../../Models/manifest_runs.ts';
import type { ChunkRun } from '../../../Models/operation_frames.ts';
import type { ChunkRef } from '../../../Models/operations.ts';
import { ROUTES } from '../../../Models/routes.ts';
import { writeManifest } from '../../../Models/tree_frames.ts';
import { memoryCache } from '../../testing/remote_client.ts';
import { END_FRAME, errorFrame, scriptedHttp } from '../../testing/scripted_http.ts';
import { sha256 } from '../../transfer/local_files.ts';
import { systemClock } from '../clock.ts';
import type { Disk } from '../disk/disk.ts';
import { openMemoryDisk } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume } from '../testing/memory_disk_volume.ts';
import { fetchItems } from './http_remote_fetch.ts';
import type { FetchItem, FetchOutcome } from './remote.ts';

const ATTEMPTS_ARE_QUICK = { ...systemClock, after: (ms: number, then: () => void) => systemClock.after(ms / 100, then) };

function openDisk() {
  const volume = new MemoryVolume({ now: () => 1000 });
  return { disk: openMemoryDisk(volume), person: otherProgram(volume) };
}

const refsOf = (parts: readonly Buffer[]) => parts.map((part) => ({ digest: sha256(part), length: part.length }));

function nodeOf(parts: readonly Buffer[]): FetchItem['node'] {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  return { nodeId: 7, version: 2, size, chunkCount: parts.length, digest: contentId(refsOf(parts), sha256) };
}

function itemOf(disk: Disk, key: number, parts: readonly Buffer[], previous: FetchItem['previous'] = null): FetchItem {
  return { key, node: nodeOf(parts), create: () => disk.create(`new${key}`, 0o600), previous };
}

function rawFrame(content: Buffer, digest = sha256(content)): Uint8Array {
  const frame = new Uint8Array(CHUNK_FRAME_HEADER_BYTES + content.length);
  writeRawChunkHeader(frame, 0, digest, content.length);
  frame.set(content, CHUNK_FRAME_HEADER_BYTES);
  return frame;
}

function patchFrame(content: Buffer, base: Buffer, more: { declared?: number; made?: Buffer } = {}): Uint8Array {
  const writer = new FrameWriter().begin(FRAME.chunk).u8(ENCODING.patch).bytes(sha256(content));
  writer.u32(more.declared ?? content.length).bytes(sha256(base));
  return writer
    .bytes(zstdCompressSync(more.made ?? content, { dictionary: base }))
    .finish()
    .take();
}

function manifestFrame(parts: readonly Buffer[], chunks: readonly ChunkRef[] = refsOf(parts)): Uint8Array {
  const writer = new FrameWriter();
  const { size, digest } = nodeOf(parts);
  writeManifest(writer, 0, { version: 2, size, digest, chunks });
  return writer.take();
}

function runsFrame(parts: readonly Buffer[], runs: readonly (ChunkRef | ChunkRun)[]): Uint8Array {
  const writer = new FrameWriter();
  const { size, digest } = nodeOf(parts);
  writeManifestRuns(writer, { version: 2, size, digest, runs });
  return writer.take();
}

/** What was pulled: each chunk with its base, if one was named. */
function pulledIn(body: Buffer, withBases: boolean): string[] {
  const words: string[] = [];
  const step = withBases ? 2 * DIGEST_BYTES : DIGEST_BYTES;
  for (let at = 0; at < body.length; at += step) words.push(body.toString('hex', at, at + step));
  return words;
}

const pairOf = (content: Buffer, base: Buffer | null): string =>
  sha256(content).toString('hex') + (base === null ? '0'.repeat(64) : sha256(base).toString('hex'));

/** @param answers one after the other; the last one again and again */
async function fetchScripted(
  items: readonly FetchItem[],
  answers: Record<string, ((body: Buffer) => Iterable<Uint8Array>)[]>,
  cache = memoryCache(new Map()),
) {
  const asked: { route: string; body: Buffer }[] = [];
  const http = scriptedHttp((route, body) => {
    asked.push({ route, body: body as Buffer });
    const left = answers[route] ?? [];
    const answer = left.length > 1 ? left.shift() : left[0];
    return answer?.(body as Buffer) ?? [errorFrame('internal')];
  });
  const outcomes = new Map<number, FetchOutcome>();
  await fetchItems({ http, cache, clock: ATTEMPTS_ARE_QUICK }, items, (key, outcome) => {
    assert.ok(!outcomes.has(key), 'told once');
    if ('file' in outcome) outcome.file.close();
    outcomes.set(key, outcome);
  });
  const words = [...outcomes].map(([key, outcome]) => `${key} ${'file' in outcome ? 'came' : outcome.failure.code}`);
  return { words: words.sort(), asked };
}

const [a, b, c] = [randomBytes(600_000), randomBytes(700_000), randomBytes(800_000)];
const [s, t, u] = [randomBytes(5000), randomBytes(6000), randomBytes(7000)];

test('a short file that comes damaged is asked for again twice, then it has failed and the others have not', async () => {
  const { disk, person } = openDisk();
  const wrong = rawFrame(randomBytes(6000), sha256(t));
  const items = [s, t, u].map((content, key) => itemOf(disk, key, [content]));
  const { words, asked } = await fetchScripted(items, {
    [ROUTES.pull]: [() => [rawFrame(s), wrong], () => [wrong], () => [wrong], () => [rawFrame(u), END_FRAME]],
  });
  assert.deepEqual(words, ['0 came', '1 digest_mismatch', '2 came']);
  assert.deepEqual(
    asked.map(({ body }) => body.length / DIGEST_BYTES),
    [3, 2, 2, 1],
  );
  assert.deepEqual([person.find('new0')?.bytes, person.find('new1'), person.find('new2')?.bytes], [s, null, u]);
});

test('after a lost connection only what has not come is asked for, of short files and of long ones', async () => {
  const { disk, person } = openDisk();
  const { words, asked } = await fetchScripted([itemOf(disk, 0, [s]), itemOf(disk, 1, [t]), itemOf(disk, 2, [a, b, c])], {
    [ROUTES.pull]: [() => [rawFrame(s)], () => [rawFrame(t), END_FRAME], () => [rawFrame(a), rawFrame(b)], () => [rawFrame(c), END_FRAME]],
    [ROUTES.tree]: [() => [], () => [manifestFrame([a, b, c]), END_FRAME]],
  });
  assert.deepEqual(words, ['0 came', '1 came', '2 came']);
  assert.deepEqual(
    asked.filter(({ route }) => route === ROUTES.pull).map(({ body }) => body.length / DIGEST_BYTES),
    [2, 1, 3, 1],
  );
  assert.deepEqual(person.find('new2')?.bytes, Buffer.concat([a, b, c]));
});

test('a server that never answers to the end is given up, and what had come was handed over', async () => {
  const { disk } = openDisk();
  const seen: number[] = [];
  const http = scriptedHttp((_route, body) => ((body as Buffer).length === 2 * DIGEST_BYTES ? [rawFrame(s)] : []));
  const fetching = fetchItems(
    { http, cache: memoryCache(new Map()), clock: ATTEMPTS_ARE_QUICK },
    [itemOf(disk, 0, [s]), itemOf(disk, 1, [t])],
    (key, outcome) => {
      seen.push(key);
      if ('file' in outcome) outcome.file.close();
    },
  );
  await assert.rejects(fetching, { code: 'server_unreachable' });
  assert.deepEqual(seen, [0]);
});

test('a manifest that is not that of the content, of another version, or none, is the failure of that file', async () => {
  const cases: [code: string, frames: Uint8Array[]][] = [
    ['digest_mismatch', [manifestFrame([a, b], refsOf([b, a]))]],
    ['digest_mismatch', [manifestFrame([a, b], [...refsOf([a]), { digest: sha256(b), length: 0xffff_ffff }])]],
    ['version_stale', [manifestFrame([a, c])]],
    ['not_found', [new FrameWriter().begin(FRAME.manifest).u32(0).u8(0).finish().take()]],
  ];
  for (const [code, frames] of cases) {
    const { disk, person } = openDisk();
    const { words } = await fetchScripted([itemOf(disk, 0, [a, b])], { [ROUTES.tree]: [() => [...frames, END_FRAME]] });
    assert.deepEqual(words, [`0 ${code}`]);
    assert.equal(person.find('new0'), null);
  }
});

test('a file that the disk has no room for fails by itself, also where closing it fails too', async () => {
  const { disk, person } = openDisk();
  const fail = (code: string) => (): never => {
    throw Object.assign(new Error('no space'), { code });
  };
  const bad = (item: FetchItem): FetchItem => ({
    ...item,
    create: () => ({ ...item.create(), stat: fail('ENOSPC'), write: fail('ENOSPC'), close: fail('EIO') }),
  });
  const { words } = await fetchScripted([bad(itemOf(disk, 0, [s])), itemOf(disk, 1, [t]), bad(itemOf(disk, 2, [a, b]))], {
    [ROUTES.pull]: [() => [rawFrame(s), rawFrame(t), END_FRAME]],
    [ROUTES.tree]: [() => [manifestFrame([a, b]), END_FRAME]],
  });
  assert.deepEqual(words, ['0 ENOSPC', '1 came', '2 ENOSPC']);
  assert.deepEqual(person.find('new1')?.bytes, t);
});

test('a short file is told against its older version, and by itself when that does not come out', async () => {
  const old = randomBytes(5000);
  const edited = Buffer.concat([old, Buffer.from('!')]);
  const answers: [frame: Uint8Array, again: boolean][] = [
    [patchFrame(edited, old), false],
    [rawFrame(edited), false],
    [patchFrame(edited, s), true],
    [patchFrame(edited, old, { made: Buffer.alloc(50_000_000) }), true],
    [patchFrame(edited, old, { declared: 50_000_000, made: Buffer.alloc(50_000_000) }), true],
    [patchFrame(edited, old, { made: randomBytes(5001) }), true],
  ];
  for (const [frame, again] of answers) {
    const { disk, person } = openDisk();
    person.write('old', old);
    const previous = { version: 1, open: () => disk.open('old') };
    const { words, asked } = await fetchScripted([itemOf(disk, 0, [edited], previous)], {
      [ROUTES.pull]: [() => [frame, END_FRAME], () => [rawFrame(edited), END_FRAME]],
    });
    assert.deepEqual(words, ['0 came']);
    assert.deepEqual(pulledIn(asked[0]?.body as Buffer, true), [pairOf(edited, old)]);
    assert.deepEqual(
      asked.slice(1).map(({ body }) => pulledIn(body, false)),
      again ? [[sha256(edited).toString('hex')]] : [],
    );
    assert.deepEqual(person.find('new0')?.bytes, edited);
  }
});

test('of a long file what the older version has is copied, and the rest is told against what stood in its place', async () => {
  const edited = Buffer.concat([Buffer.from('!'), b]);
  const { disk, person } = openDisk();
  person.write('old', Buffer.concat([a, b, c]));
  const previous = { version: 1, open: () => disk.open('old') };
  const olderCut = refsOf([a, b, c]);
  const parts = [a, edited, c];
  const cache = memoryCache(new Map());
  cache.remember('@7', 1, { size: 0, mtimeMs: 0, mode: 0 }, { digest: nodeOf([a, b, c]).digest, chunks: olderCut });
  const asked: Buffer[] = [];
  const http = scriptedHttp((route, body) => {
    if (route === ROUTES.tree) return [runsFrame(parts, [{ first: 0, count: 1 }, ...refsOf([edited]), { first: 2, count: 1 }]), END_FRAME];
    asked.push(body as Buffer);
    return [patchFrame(edited, b), END_FRAME];
  });
  const outcomes: FetchOutcome[] = [];
  const fetching = fetchItems({ http, cache, clock: ATTEMPTS_ARE_QUICK }, [itemOf(disk, 0, parts, previous)], (_key, outcome) =>
    outcomes.push(outcome),
  );
  await fetching;
  assert.ok(outcomes[0] !== undefined && 'file' in outcomes[0]);
  outcomes[0].file.close();
  assert.deepEqual(pulledIn(asked[0] as Buffer, true), [pairOf(edited, b)]);
  assert.deepEqual(person.find('new0')?.bytes, Buffer.concat(parts));
  assert.deepEqual((await cache.recall('@7'))?.chunks, refsOf(parts));
});

test('a part of a long file that does not come out of its older version is asked for by itself', async () => {
  const edited = Buffer.concat([Buffer.from('!'), b]);
  const { disk, person } = openDisk();
  person.write('old', Buffer.concat([a, b]));
  const previous = { version: 1, open: () => disk.open('old') };
  const parts = [a, edited];
  const cache = memoryCache(new Map());
  cache.remember('@7', 1, { size: 0, mtimeMs: 0, mode: 0 }, { digest: nodeOf([a, b]).digest, chunks: refsOf([a, b]) });
  const answers = {
    [ROUTES.tree]: [() => [runsFrame(parts, [{ first: 0, count: 1 }, ...refsOf([edited])]), END_FRAME]],
    [ROUTES.pull]: [() => [patchFrame(edited, b, { made: s }), END_FRAME], () => [rawFrame(edited), END_FRAME]],
  };
  const { words, asked } = await fetchScripted([itemOf(disk, 0, parts, previous)], answers, cache);
  assert.deepEqual(words, ['0 came']);
  assert.deepEqual(pulledIn(asked.at(-1)?.body as Buffer, false), [sha256(edited).toString('hex')]);
  assert.deepEqual(person.find('new0')?.bytes, Buffer.concat(parts));
});

test('an empty file is empty, whatever the server says is in it', async () => {
  const { disk } = openDisk();
  const node = { nodeId: 7, version: 2, size: 0, chunkCount: 0, digest: sha256(s) };
  const { words } = await fetchScripted([{ ...itemOf(disk, 0, [s]), node }, itemOf(disk, 1, [])], {});
  assert.deepEqual(words, ['0 digest_mismatch', '1 came']);
});

test('an older version that is not what it is held for costs bytes, never a wrong file', async () => {
  const parts = [a, b];
  for (const runs of [[{ first: 0, count: 2 }], [{ first: 0, count: 900 }], [{ first: 0, count: 1 }, ...refsOf([c])]]) {
    const { disk, person } = openDisk();
    person.write('old', Buffer.concat([c, b]));
    const previous = { version: 1, open: () => disk.open('old') };
    const { words } = await fetchScripted([itemOf(disk, 0, parts, previous)], {
      [ROUTES.tree]: [() => [runsFrame(parts, runs), END_FRAME], () => [manifestFrame(parts), END_FRAME]],
      [ROUTES.pull]: [
        (body) => [...pulledIn(body, true).map((word) => rawFrame(word.startsWith(sha256(a).toString('hex')) ? a : b)), END_FRAME],
      ],
    });
    assert.deepEqual(words, ['0 came']);
    assert.deepEqual(person.find('new0')?.bytes, Buffer.concat(parts));
  }
});

test('an older file that changes while it is copied from does not get into the new one', async () => {
  const { disk, person } = openDisk();
  person.write('old', Buffer.concat([a, b]));
  const cache = memoryCache(new Map());
  cache.remember('@7', 1, { size: 0, mtimeMs: 0, mode: 0 }, { digest: nodeOf([a, b]).digest, chunks: refsOf([a, b]) });
  person.write('old', Buffer.concat([a, c]));
  const parts = [b, a];
  const http = scriptedHttp((route) =>
    route === ROUTES.tree
      ? [
          runsFrame(parts, [
            { first: 1, count: 1 },
            { first: 0, count: 1 },
          ]),
          END_FRAME,
        ]
      : [rawFrame(b), END_FRAME],
  );
  const previous = { version: 1, open: () => disk.open('old') };
  await fetchItems({ http, cache, clock: ATTEMPTS_ARE_QUICK }, [itemOf(disk, 0, parts, previous)], (_key, outcome) => {
    assert.ok('file' in outcome);
    outcome.file.close();
  });
  assert.deepEqual(person.find('new0')?.bytes, Buffer.concat(parts));
});
