import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CHUNK_FRAME_HEADER_BYTES } from '../Models/chunk_frames.ts';
import { AppError } from '../Models/errors.ts';
import { FRAME, type Frame, FrameParser } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkLocation } from './chunk_store.ts';
import { openPackChunkStore } from './pack_chunk_store.ts';
import { chunkStoreContract } from './testing/chunk_store_contract.ts';
import { openStoredFrame, verifyContent, verifyRawFrame } from './verified_chunk.ts';

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-packs-'));
  folders.push(folder);
  return folder;
}

chunkStoreContract('packs on disk', async () => {
  const folder = join(await temporaryFolder(), 'packs');
  return {
    store: await openPackChunkStore(folder),
    reopen: async (store) => {
      await store.close();
      return openPackChunkStore(folder);
    },
  };
});

function frameOf(pieces: readonly Uint8Array[]): Frame {
  const frames: Frame[] = [];
  const parser = new FrameParser();
  for (const piece of pieces) parser.push(piece, (frame) => frames.push(frame));
  return frames[0] as Frame;
}

const refuses = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('a frame becomes a chunk only when its bytes have the digest, however it was cut', () => {
  const content = randomBytes(100_000);
  const bytes = Buffer.concat(verifyContent(content, null).frame);
  for (const size of [3, 30, 40, 1000, bytes.length]) {
    const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
    const chunk = verifyRawFrame(frameOf(cut));
    assert.ok(Buffer.concat(chunk.frame).equals(bytes));
    assert.equal(chunk.length, content.length);
  }
  for (const at of [6, 37, 38, 5000, bytes.length - 1]) {
    const wrong = Buffer.from(bytes);
    wrong[at] = (wrong[at] as number) ^ 1;
    assert.throws(() => verifyRawFrame(frameOf([wrong])), refuses('digest_mismatch'));
  }
  assert.throws(() => verifyContent(content, randomBytes(32)), refuses('digest_mismatch'));
  assert.throws(() => verifyContent(Buffer.alloc(LIMITS.chunkBytesMax + 1), null), refuses('too_large'));
  assert.throws(
    () => verifyRawFrame({ type: FRAME.chunk, length: 3, pieces: [Buffer.from([1, 0, 0, 0, 3, 0, 1, 2])] }),
    refuses('frame_invalid'),
  );
});

test('a damaged pack is noticed when it is read', async () => {
  const folder = await temporaryFolder();
  const store = await openPackChunkStore(folder);
  const chunk = verifyContent(randomBytes(5000), null);
  const [location] = (await store.append([chunk])) as [ChunkLocation];
  const [sub] = (await readdir(folder)) as [string];
  const handle = await open(join(folder, sub, `${location.pack}.pack`), 'r+');
  await handle.write(Buffer.from([0xff, 0xfe]), 0, 2, location.offset + 2000);
  await handle.close();
  const frame = await store.read({ ...location, length: 5038 });
  assert.throws(() => openStoredFrame(frame, chunk.digest), refuses('corrupt'));
  await store.close();
});

test('a folder that takes no files gives a typed error, and later appends work again', async () => {
  const folder = await temporaryFolder();
  const store = await openPackChunkStore(join(folder, 'packs'));
  await rm(join(folder, 'packs'), { recursive: true });
  await (await open(join(folder, 'packs'), 'w')).close(); // a file where the folder was
  await assert.rejects(store.append([verifyContent(Buffer.from('x'), null)]), refuses('storage_unavailable'));
  await rm(join(folder, 'packs'));
  assert.equal((await store.append([verifyContent(Buffer.from('x'), null)])).length, 1);
  await store.close();
});

test('a full disk gives a typed error, and once there is room appends work again', { skip: cannotMount() }, async () => {
  const folder = await temporaryFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', folder]);
  try {
    const store = await openPackChunkStore(join(folder, 'packs'));
    const kept = verifyContent(randomBytes(1 << 20), null);
    const [location] = (await store.append([kept])) as [ChunkLocation];
    await assert.rejects(store.append([verifyContent(randomBytes(3 << 20), null)]), refuses('storage_full'));
    assert.equal((await store.append([verifyContent(randomBytes(1000), null)])).length, 1);
    openStoredFrame(await store.read({ ...location, length: kept.length + CHUNK_FRAME_HEADER_BYTES }), kept.digest);
    await store.close();
  } finally {
    execFileSync('umount', [folder]);
  }
});

/** A really full disk needs a small file system, which only root can mount. */
function cannotMount(): string | false {
  return process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs root on Linux';
}

test('after a restart only a pack is appended to, whatever else lies in the folder', async () => {
  const folder = join(await temporaryFolder(), 'packs');
  const first = await openPackChunkStore(folder);
  const [location] = (await first.append([verifyContent(randomBytes(100), null)])) as [ChunkLocation];
  await first.close();
  const sub = location.pack.slice(0, 2);
  const other = sub === '00' ? '01' : '00';
  await mkdir(join(folder, other));
  for (const stray of [`${sub}/${location.pack}.pack.bak`, `${sub}/a.tar`, `${other}/${location.pack}.pack`, 'notes']) {
    await writeFile(join(folder, stray), 'not a pack');
  }
  const again = await openPackChunkStore(folder);
  const chunk = verifyContent(randomBytes(200), null);
  const [appended] = (await again.append([chunk])) as [ChunkLocation];
  assert.equal(appended.pack, location.pack);
  openStoredFrame(await again.read({ ...appended, length: chunk.length + CHUNK_FRAME_HEADER_BYTES }), chunk.digest);
  await again.close();
});
