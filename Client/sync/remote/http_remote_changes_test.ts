import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../../Models/errors.ts';
import { FRAME, FrameWriter } from '../../../Models/frames.ts';
import { type FeedNode, writeFeedEnd, writeNodes } from '../../../Models/tree_frames.ts';
import { END_FRAME, errorFrame, scriptedHttp } from '../../testing/scripted_http.ts';
import { systemClock } from '../clock.ts';
import { readChanges } from './http_remote_changes.ts';
import type { FeedPage } from './remote.ts';

const ATTEMPTS_ARE_QUICK = { ...systemClock, after: (ms: number, then: () => void) => systemClock.after(ms / 100, then) };

function nodeOf(nodeId: number, parentId: number, more: Partial<FeedNode> = {}): FeedNode {
  const folder = { size: 0, mtimeUs: 1, mode: 0o755, version: 1, digest: null, chunkCount: 0, target: null, unlisted: false } as const;
  return { nodeId, parentId, name: `n${nodeId}`, kind: 'folder', ...folder, ...more };
}

function fileOf(nodeId: number, more: Partial<FeedNode> = {}): FeedNode {
  return nodeOf(nodeId, 1, { kind: 'file', size: 10, chunkCount: 1, digest: Buffer.alloc(32, 7), ...more });
}

function page(present: readonly FeedNode[], gone: readonly number[] = []): Uint8Array {
  const writer = new FrameWriter();
  writeNodes(writer, { present, gone });
  return writer.take();
}

function endOf(rootId = 1, cursor = 'there'): Uint8Array {
  const writer = new FrameWriter();
  writeFeedEnd(writer, { cursor, rootId });
  return writer.take();
}

const ROOT = nodeOf(1, 0, { name: '' });

async function readScripted(answers: Uint8Array[][], cursor: string | null = null) {
  const pages: FeedPage[] = [];
  const asked: unknown[] = [];
  const http = scriptedHttp((_route, body) => {
    asked.push(JSON.parse(String(body)));
    return (answers.length > 1 ? answers.shift() : answers[0]) ?? [];
  });
  const end = await readChanges({ http, clock: ATTEMPTS_ARE_QUICK }, { root: '@1', cursor }, (one) => pages.push(one));
  return { pages, asked, end };
}

test('pages are handed over as they come, and the end says where it goes on', async () => {
  const { pages, asked, end } = await readScripted([[page([ROOT, nodeOf(2, 1)]), page([fileOf(3)], [9]), endOf(), END_FRAME]]);
  assert.deepEqual(asked, [{ since: { root: '@1', cursor: null } }]);
  assert.deepEqual(
    pages.map(({ present, gone }) => [present.map(({ nodeId }) => nodeId), gone]),
    [
      [[1, 2], []],
      [[3], [9]],
    ],
  );
  assert.deepEqual(end, { cursor: 'there', rootId: 1 });
});

test('what no server says is not believed, and nothing counts that came with it', async () => {
  const bad: [code: ErrorCode, what: string, frames: Uint8Array[]][] = [
    ...['..', '.', '', 'a/b', '/etc/passwd', 'a\0b', '../../etc'].map((name): [ErrorCode, string, Uint8Array[]] => [
      'name_invalid',
      `the name ${JSON.stringify(name)}`,
      [page([fileOf(3, { name })]), endOf()],
    ]),
    ['protocol_mismatch', 'a folder in itself', [page([nodeOf(2, 2)]), endOf()]],
    ['protocol_mismatch', 'folders in each other', [page([nodeOf(2, 3), nodeOf(4, 2)]), page([nodeOf(3, 4)]), endOf()]],
    ['protocol_mismatch', 'a nameless folder that is not the root', [page([nodeOf(5, 0, { name: '' })]), endOf()]],
    ['protocol_mismatch', 'node 0', [page([nodeOf(0, 1)]), endOf()]],
    ['protocol_mismatch', 'a negative node', [page([nodeOf(-4, 1)]), endOf()]],
    ['protocol_mismatch', 'a negative parent', [page([nodeOf(4, -1)]), endOf()]],
    ['protocol_mismatch', 'a negative node that is gone', [page([], [-4]), endOf()]],
    ['protocol_mismatch', 'a root that is none', [page([]), endOf(0)]],
    ['protocol_mismatch', 'no cursor', [page([]), endOf(1, '')]],
    ['protocol_mismatch', 'no end', [page([fileOf(3)])]],
    ['protocol_mismatch', 'something behind the end', [endOf(), page([fileOf(3)])]],
    ['protocol_mismatch', 'another frame', [new FrameWriter().begin(FRAME.paths).finish().take(), endOf()]],
    ['protocol_mismatch', 'a negative size', [page([fileOf(3, { size: -1 })]), endOf()]],
    ['protocol_mismatch', 'a size beyond all limits', [page([fileOf(3, { size: 2 ** 52, chunkCount: 200_000 })]), endOf()]],
    ['protocol_mismatch', 'more chunks than bytes', [page([fileOf(3, { size: 5, chunkCount: 6 })]), endOf()]],
    ['protocol_mismatch', 'bytes in no chunk', [page([fileOf(3, { chunkCount: 0 })]), endOf()]],
    ['protocol_mismatch', 'one chunk of a gigabyte', [page([fileOf(3, { size: 2 ** 30 })]), endOf()]],
    ['protocol_mismatch', 'a link to nothing', [page([nodeOf(3, 1, { kind: 'symlink', target: '' })]), endOf()]],
    ['protocol_mismatch', 'a link with a zero byte', [page([nodeOf(3, 1, { kind: 'symlink', target: 'a\0b' })]), endOf()]],
    ['protocol_mismatch', 'a negative version', [page([fileOf(3, { version: -1 })]), endOf()]],
  ];
  for (const [code, what, frames] of bad) await assert.rejects(readScripted([[...frames, END_FRAME]], 'here'), { code }, what);
});

test('a lost connection is tried again, except when a listing was already begun', async () => {
  const whole = [page([ROOT, fileOf(3)]), endOf(), END_FRAME];
  assert.equal((await readScripted([[], [], whole])).pages.length, 1);
  const again = await readScripted([[page([fileOf(3)])], whole], 'here');
  assert.deepEqual(
    again.asked.map((one) => (one as { since: { cursor: string } }).since.cursor),
    ['here', 'here'],
  );
  await assert.rejects(readScripted([[page([ROOT, fileOf(3)])], whole]), { code: 'server_unreachable' });
});

test('a cursor that the server does not know is said at once', async () => {
  await assert.rejects(readScripted([[errorFrame('cursor_invalid')]], 'here'), { code: 'cursor_invalid' });
});
