import assert from 'node:assert/strict';
import { CHUNK_FRAME_HEADER_BYTES, writeRawChunkHeader } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import { FRAME, FRAME_TYPE, type Frame, FrameParser, FrameWriter, joinBytes, payloadOf } from '../../Models/frames.ts';
import { readManifestRuns } from '../../Models/manifest_runs.ts';
import { type OperationFrame, readResult, writeOperation } from '../../Models/operation_frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { readFeedEnd, readFolder, readManifest, readNodes, readPaths } from '../../Models/tree_frames.ts';
import { sha256 } from '../../Storage/verified_chunk.ts';
import { NONE } from './rights_model.ts';
import { ask, changes, isFile, outside, type Probe, post, type Target, word } from './rights_probe.ts';
import type { Answer } from './server_fixture.ts';

function framesOf(answer: Answer): Frame[] {
  const frames: Frame[] = [];
  const parser = new FrameParser();
  parser.push(new Uint8Array(answer.bytes), (frame) => frames.push(frame));
  return frames;
}
const tree = async (target: Target, request: object): Promise<Frame[] | string> => {
  const answer = await post(target, ROUTES.tree, request);
  if (answer.status !== 200) return word(answer);
  const frames = framesOf(answer);
  return frames[0]?.type === FRAME.error ? 'not_found' : frames.filter(({ type }) => type !== FRAME.end);
};

const digests = (target: Target, route: string) =>
  ask(target, {
    method: 'POST',
    url: route,
    headers: { 'content-type': 'application/octet-stream' },
    payload: sha256(Buffer.from(target.node.text ?? '')),
  });

const END = new FrameWriter(8).begin(FRAME.end).finish().take();
async function pushed(target: Target, operation: OperationFrame, chunk: Uint8Array = new Uint8Array(0)): Promise<string> {
  const writer = new FrameWriter();
  writeOperation(writer, 0, operation);
  const payload = Buffer.from(joinBytes([chunk, writer.take(), END]));
  const answer = await ask(target, { method: 'POST', url: ROUTES.push, headers: { 'content-type': FRAME_TYPE }, payload });
  const frame = framesOf(answer).find(({ type }) => type === FRAME.result);
  assert.ok(frame, word(answer));
  const { result } = readResult(payloadOf(frame));
  return result.status === 'refused' ? result.code : result.status;
}

function chunkFrame(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(CHUNK_FRAME_HEADER_BYTES + content.length);
  writeRawChunkHeader(frame, 0, sha256(content), content.length);
  frame.set(content, CHUNK_FRAME_HEADER_BYTES);
  return frame;
}

function putOf(path: string, content: Uint8Array, base: number | 'absent'): OperationFrame {
  const chunks = [{ digest: sha256(content), length: content.length }];
  return { kind: 'put', path, size: content.length, mtimeUs: 0, mode: 0o644, base, digest: contentId(chunks, sha256), chunks };
}
const SENT = Buffer.from('what whoever sends it may name');

const manifestOf = (frames: Frame[] | string) =>
  typeof frames === 'string' ? null : (frames.map((frame) => readManifest(payloadOf(frame)))[0]?.manifest ?? null);

/** Of the binary routes. */
export const TRANSFER_PROBES: readonly Probe[] = [
  {
    route: `POST ${ROUTES.tree}`,
    what: 'stat',
    async run(target) {
      const frames = await tree(target, { stat: [target.path, `@${target.node.id}`] });
      assert.ok(typeof frames !== 'string');
      const entries = frames.flatMap((frame) => readFolder(payloadOf(frame)).entries.map((entry) => entry?.name ?? null));
      const name = target.role === NONE ? null : target.path.slice(target.path.lastIndexOf('/') + 1);
      return [entries, [name, name]];
    },
  },
  {
    route: `POST ${ROUTES.tree}`,
    what: 'list',
    async run(target) {
      const frames = await tree(target, { list: [target.path, `@${target.node.id}`] });
      assert.ok(typeof frames !== 'string');
      const names = frames.map((frame) =>
        readFolder(payloadOf(frame))
          .entries.map((entry) => entry?.name)
          .sort(),
      );
      const all = target.role === NONE || isFile(target.node) ? [] : [...target.rights.listed(target.user.name, target.node).keys()].sort();
      return [names, [all, all]];
    },
  },
  {
    route: `POST ${ROUTES.tree}`,
    what: 'walk',
    async run(target) {
      const frames = await tree(target, { walk: target.path });
      if (typeof frames === 'string') return [target.role === NONE || isFile(target.node), true];
      return [
        frames.flatMap((frame) => readPaths(payloadOf(frame)))[0],
        target.role === NONE || isFile(target.node) ? 'nothing' : target.path,
      ];
    },
  },
  {
    route: `POST ${ROUTES.tree}`,
    what: 'since',
    async run(target) {
      const frames = await tree(target, { since: { root: `@${target.node.id}`, cursor: null } });
      if (typeof frames === 'string') return [target.role === NONE || isFile(target.node), true];
      const told = frames.flatMap((frame) => (frame.type === FRAME.nodes ? readNodes(payloadOf(frame)).present : []));
      const last = frames.at(-1) as Frame;
      assert.equal(readFeedEnd(payloadOf(last)).rootId, target.node.id);
      return [told[0]?.nodeId, target.role === NONE || isFile(target.node) ? 'nothing' : target.node.id];
    },
  },
  {
    route: `POST ${ROUTES.have}`,
    async run(target) {
      const answer = await digests(target, ROUTES.have);
      return [answer.bytes[0] === 1, target.rights.mayRead(target.user.name, target.node.text ?? '')];
    },
  },
  {
    route: `POST ${ROUTES.pull}`,
    async run(target) {
      if (!isFile(target.node)) return null;
      const answer = await digests(target, ROUTES.pull);
      return [answer.bytes.includes(target.node.text as string), target.rights.mayRead(target.user.name, target.node.text as string)];
    },
  },
  {
    route: `POST ${ROUTES.push}`,
    what: 'mkdir',
    run: async (target) => {
      const operation: OperationFrame = { kind: 'mkdir', path: `@${target.node.id}`, existingOk: true, mode: null, mtimeUs: null };
      if (isFile(target.node)) return [await pushed(target, operation), changes(target, 'not_a_folder')];
      const own = target.node.share !== null && target.role !== NONE ? 'unchanged' : changes(target, 'unchanged');
      return [await pushed(target, operation), own];
    },
  },
  {
    route: `POST ${ROUTES.push}`,
    what: 'delete',
    run: async (target) => {
      const operation: OperationFrame = { kind: 'delete', path: `@${target.node.id}`, base: 999_999_999, onlyEmpty: false };
      const isOwner = target.node.share?.owner === target.user.name;
      return [await pushed(target, operation), isOwner && target.role !== NONE ? 'version_stale' : outside(target, 'version_stale')];
    },
  },
  {
    route: `POST ${ROUTES.tree}`,
    what: 'manifests',
    async run(target) {
      const found = manifestOf(await tree(target, { manifests: [target.path] }));
      return [found?.size ?? null, target.role === NONE || !isFile(target.node) ? null : target.node.text?.length];
    },
  },
  {
    route: `POST ${ROUTES.tree}`,
    what: 'manifest',
    async run(target) {
      const frames = await tree(target, { manifest: `@${target.node.id}`, against: 0 });
      assert.ok(typeof frames !== 'string');
      const found = readManifestRuns(payloadOf(frames[0] as Frame));
      return [found?.size ?? null, target.role === NONE || !isFile(target.node) ? null : target.node.text?.length];
    },
  },
  {
    route: `POST ${ROUTES.signature}`,
    async run(target) {
      if (!isFile(target.node)) return null;
      const [frame] = framesOf(await digests(target, ROUTES.signature));
      return [payloadOf(frame as Frame).length > 0, target.rights.mayRead(target.user.name, target.node.text as string)];
    },
  },
  {
    route: `POST ${ROUTES.push}`,
    what: 'put',
    async run(target) {
      const operation = putOf(`@${target.node.id}`, SENT, 999_999_999);
      const isTop = target.node.share !== null && target.role !== NONE;
      const wanted = isTop ? 'not_a_file' : changes(target, isFile(target.node) ? 'version_stale' : 'not_a_file');
      return [await pushed(target, operation, chunkFrame(SENT)), wanted];
    },
  },
  {
    route: `POST ${ROUTES.push}`,
    what: 'put of a digest alone',
    of: 'hidden',
    async run(target) {
      if (target.node.text === null || target.rights.mayRead(target.user.name, target.node.text)) return null;
      return [await pushed(target, putOf('/guessed', Buffer.from(target.node.text), 'absent')), 'chunk_missing'];
    },
  },
];
