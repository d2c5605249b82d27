import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from './errors.ts';
import { FrameWriter } from './frames.ts';
import {
  beginFolder,
  type FeedNode,
  readFeedEnd,
  readFolder,
  readNodes,
  type TreeEntry,
  writeEntry,
  writeFeedEnd,
  writeNodes,
} from './tree_frames.ts';

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

const NODE = '4014000000000000 3ff0000000000000';
const NUMBERS = '4014000000000000 3ff0000000000000 4000000000000000';
const FILE_NODE = `01 ${NODE} 00 000166 0180 ${NUMBERS} 00000003 ${'ab'.repeat(32)}`;

test('nodes and the end of a feed are laid out like this, byte by byte, and come back the same', () => {
  const { name, size, mtimeUs, mode, version, chunkCount } = file;
  const node: FeedNode = {
    nodeId: 5,
    parentId: 1,
    name,
    kind: 'file',
    size,
    mtimeUs,
    mode,
    version,
    digest,
    chunkCount,
    target: null,
    unlisted: false,
  };
  const folder: FeedNode = { ...node, name: 'd', kind: 'folder', mode: 0o755, digest: null, chunkCount: 0, unlisted: true };
  const link: FeedNode = { ...node, name: 'l', kind: 'symlink', mode: 0o777, digest: null, chunkCount: 0, target: 'f' };
  const writer = new FrameWriter();
  writeNodes(writer, { present: [node, folder, link], gone: [7] });
  const bytes = writer.take();
  const rest = `03 ${NODE} 01 000164 01ed ${NUMBERS} 01 ${NODE} 02 00016c 01ff ${NUMBERS} 000166 00 401c000000000000`;
  assert.equal(hexOf(bytes), joined(`0b000000bd ${FILE_NODE} ${rest}`));
  assert.deepEqual(readNodes(bytes.subarray(5)), { present: [node, folder, link], gone: [7] });
  writeFeedEnd(writer, { cursor: 'aQ', rootId: 5 });
  const end = writer.take();
  assert.equal(hexOf(end), joined('0c0000000a 4014000000000000 6151'));
  assert.deepEqual(readFeedEnd(end.subarray(5)), { cursor: 'aQ', rootId: 5 });
});

test('a node that is cut off, of an unknown kind or with unknown flags is refused', () => {
  const payload = Buffer.from(joined(FILE_NODE), 'hex');
  const invalid = (bytes: Uint8Array): void =>
    assert.throws(
      () => readNodes(bytes),
      (error: unknown) => error instanceof AppError && error.code === 'frame_invalid',
    );
  for (let length = 1; length < payload.length; length += 1) invalid(payload.subarray(0, length));
  for (const [at, value] of [
    [0, 5],
    [0, 2],
    [17, 3],
  ] as const) {
    const wrong = Buffer.from(payload);
    wrong[at] = value;
    invalid(wrong);
  }
});
