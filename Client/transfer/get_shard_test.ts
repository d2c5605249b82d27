import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { CHUNK_FRAME_HEADER_BYTES, DIGEST_BYTES, writeRawChunkHeader } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import { FrameWriter } from '../../Models/frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import { beginFolder, type ManifestFrame, type TreeEntry, writeEntry, writeManifest } from '../../Models/tree_frames.ts';
import type { StreamOptions } from '../http.ts';
import { END_FRAME, errorFrame, scriptedHttp } from '../testing/scripted_http.ts';
import { GetShard } from './get_shard.ts';
import { noCounts, type TransferFailure } from './jobs.ts';
import { getLargeFile } from './large_get.ts';
import { sha256 } from './local_files.ts';

function fileEntry(name: string, size: number, digest: Uint8Array, chunkCount: number): TreeEntry {
  return { name, kind: 'file', size, mtimeUs: 1_000_000, version: 1, mode: 0o644, chunkCount, digest, target: null };
}

function chunkFrame(digest: Uint8Array, content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(CHUNK_FRAME_HEADER_BYTES + content.length);
  writeRawChunkHeader(frame, 0, digest, content.length);
  frame.set(content, CHUNK_FRAME_HEADER_BYTES);
  return frame;
}

/** What a server says that has these entries in every folder. */
function listing(entries: readonly TreeEntry[]): Uint8Array {
  const writer = new FrameWriter();
  beginFolder(writer, 0, true);
  for (const entry of entries) writeEntry(writer, entry);
  writer.finish();
  return writer.take();
}

function manifestFrames(manifest: ManifestFrame): Uint8Array {
  const writer = new FrameWriter();
  writeManifest(writer, 0, manifest);
  return writer.take();
}

function digestsIn(body: StreamOptions['body']): Buffer[] {
  const bytes = body as Buffer;
  return Array.from({ length: bytes.length / DIGEST_BYTES }, (_, i) => bytes.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES));
}

async function getFolder(
  entries: readonly TreeEntry[],
  target: string,
  answer: (route: string, body: StreamOptions['body']) => Iterable<Uint8Array>,
) {
  const counts = noCounts();
  const failures: TransferFailure[] = [];
  const http = scriptedHttp((route, body) =>
    route === ROUTES.tree && String(body).includes('"list"') ? [listing(entries), END_FRAME] : answer(route, body),
  );
  const shard = new GetShard({
    http,
    events: {
      count: (more) => {
        for (const [name, value] of Object.entries(more)) counts[name as keyof typeof counts] += value;
      },
      fail: (failure) => failures.push(failure),
    },
  });
  await shard.run([{ kind: 'folder', local: target, remote: '/d', fresh: true, root: target }]);
  await shard.finish();
  return { counts, failures };
}

const DAMAGE = { 'another content than asked for': 'digest_mismatch', 'an error in its place': 'corrupt' } as const;
for (const [what, code] of Object.entries(DAMAGE)) {
  test(`of many small files one comes as ${what}: that one is named, the others are fetched`, async (t) => {
    const target = join(await temporaryFolder(t), 'd');
    const contents = Array.from({ length: 8 }, () => randomBytes(100));
    const byDigest = new Map(contents.map((content) => [sha256(content).toString('hex'), content]));
    const damaged = sha256(contents[3] as Buffer);
    const entries = contents.map((content, i) => fileEntry(`f${i}`, content.length, sha256(content), 1));
    const { failures, counts } = await getFolder(entries, target, function* (_route, body) {
      for (const digest of digestsIn(body)) {
        if (!digest.equals(damaged)) yield chunkFrame(digest, byDigest.get(digest.toString('hex')) as Buffer);
        else if (code === 'digest_mismatch') yield chunkFrame(digest, randomBytes(100));
        else return yield errorFrame('corrupt');
      }
      yield END_FRAME;
    });
    assert.deepEqual(
      failures.map((failure) => [failure.path, failure.code]),
      [['/d/f3', code]],
    );
    assert.equal(counts.filesDone, 7);
    for (const [i, content] of contents.entries()) if (i !== 3) assert.ok((await readFile(join(target, `f${i}`))).equals(content));
    assert.equal((await readdir(target)).length, 7);
  });
}

test('a long file whose chunks are not those of its content id never gets its name', async (t) => {
  const parts = [randomBytes(600_000), randomBytes(500_000)];
  const chunks = parts.map((part) => ({ digest: sha256(part), length: part.length }));
  const empty = { digest: sha256(new Uint8Array(0)), length: 0 };
  const [one, two] = chunks as [(typeof chunks)[0], (typeof chunks)[0]];
  const digest = contentId(chunks, sha256);
  const size = 1_100_000;
  const lies: Record<string, ManifestFrame> = {
    'too few': { version: 1, size, digest, chunks: [one] },
    swapped: { version: 1, size, digest, chunks: [two, one] },
    'an empty one': { version: 1, size, digest, chunks: [one, empty, two] },
    'a huge one': { version: 1, size, digest, chunks: [one, { ...two, length: 0xffff_fff0 }] },
    'another size': { version: 1, size: size + 1, digest, chunks },
  };
  for (const [what, manifest] of Object.entries(lies)) {
    const target = join(await temporaryFolder(t), 'd');
    const entries = [fileEntry('long', manifest.size, digest, 2), fileEntry('none', 0, sha256(new Uint8Array(0)), 0)];
    const { failures } = await getFolder(entries, target, function* (route, body) {
      if (route === ROUTES.tree) yield manifestFrames(manifest);
      else {
        for (const asked of digestsIn(body)) {
          const part = parts.find((content) => sha256(content).equals(asked)) ?? new Uint8Array(0);
          yield chunkFrame(asked, part);
        }
      }
      yield END_FRAME;
    });
    assert.deepEqual(
      failures.map(({ path }) => path),
      ['/d/long'],
      what,
    );
    assert.ok(!(await readdir(target)).includes('long'), what);
    assert.ok((await readdir(target)).includes('none'), what);
  }
});

test('two long files of the same content arrive in one folder at the same time', async (t) => {
  const folder = await temporaryFolder(t);
  const parts = [randomBytes(600_000), randomBytes(500_000)];
  const chunks = parts.map((part) => ({ digest: sha256(part), length: part.length }));
  const digest = contentId(chunks, sha256);
  const http = scriptedHttp(async function* (route, body) {
    if (route === ROUTES.tree) yield manifestFrames({ version: 1, size: 1_100_000, digest, chunks });
    else {
      for (const [i, asked] of digestsIn(body).entries()) {
        yield chunkFrame(asked, parts[i] as Buffer);
        await setImmediate();
      }
    }
    yield END_FRAME;
  });
  const get = (name: string) => getLargeFile(http, { staging: null, local: join(folder, name), remote: `/${name}`, entry: entryOf(name) });
  const entryOf = (name: string) => ({ ...fileEntry(name, 1_100_000, digest, 2), digest });
  await Promise.all([get('one'), get('two')]);
  assert.deepEqual((await readdir(folder)).sort(), ['one', 'two']);
});
