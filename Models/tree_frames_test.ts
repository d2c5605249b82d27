import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from './errors.ts';
import { FrameWriter } from './frames.ts';
import { beginFolder, readFolder, type TreeEntry, writeEntry } from './tree_frames.ts';

const digest = new Uint8Array(32).fill(0xab);
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const joined = (hex: string): string => hex.replaceAll(' ', '');

const file: TreeEntry = {
  name: 'f',
  kind: 'file',
  size: 5,
  mtimeUs: 1,
  version: 2,
  mode: 0o600,
  chunkCount: 3,
  digest,
  target: null,
};
const FILE = `00 0180 000166 4014000000000000 3ff0000000000000 4000000000000000 00000003 ${'ab'.repeat(32)}`;

test('a folder frame is laid out like this, byte by byte, and comes back the same', () => {
  const link: TreeEntry = { ...file, name: 'l', kind: 'symlink', mode: 0o777, chunkCount: 0, digest: null, target: 'f' };
  const folder: TreeEntry = { ...file, name: 'd', kind: 'folder', mode: 0o755, chunkCount: 0, digest: null };
  const writer = new FrameWriter();
  beginFolder(writer, 258, true);
  for (const entry of [file, folder, link, null]) writeEntry(writer, entry);
  const bytes = writer.finish().take();
  const numbers = '4014000000000000 3ff0000000000000 4000000000000000';
  const expected = `07000000 87 00000102 01 ${FILE} 01 01ed 000164 ${numbers} 02 01ff 00016c ${numbers} 000166 ff`;
  assert.equal(hexOf(bytes), joined(expected));
  assert.deepEqual(readFolder(bytes.subarray(5)), { index: 258, last: true, entries: [file, folder, link, null] });
});

test('an entry with more than permission bits is refused', () => {
  const payload = Buffer.from(joined(`00000000 01 ${FILE}`), 'hex');
  payload.writeUInt16BE(0o4755, 6);
  assert.throws(
    () => readFolder(payload),
    (error: unknown) => error instanceof AppError && error.code === 'frame_invalid',
  );
});
