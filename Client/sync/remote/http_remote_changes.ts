import { AppError } from '../../../Models/errors.ts';
import { FRAME, payloadOf } from '../../../Models/frames.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { type FeedEnd, type FeedNode, readFeedEnd, readNodes, safeName } from '../../../Models/tree_frames.ts';
import type { Http } from '../../http.ts';
import { treeFrames } from '../../transfer/requests.ts';
import type { Clock } from '../clock.ts';
import { Attempts } from './attempts.ts';
import type { FeedPage, RemoteNode } from './remote.ts';

type Since = { readonly root: string; readonly cursor: string | null };

/**
 * One `changes` of `Remote`: see there. What the server says is checked as it comes: whatever it is, no path outside can be made of it.
 * @throws AppError as in `Remote`; `protocol_mismatch`, `name_invalid`, `frame_invalid` for what no Driftless server says
 */
export async function readChanges(
  deps: { readonly http: Http; readonly clock: Pick<Clock, 'after' | 'random'> },
  since: Since,
  onPage: (page: FeedPage) => void,
): Promise<FeedEnd> {
  const attempts = new Attempts(deps.clock);
  for (;;) {
    let pages = 0;
    try {
      return await readOnce(deps.http, since, (page) => {
        pages += 1;
        onPage(page);
      });
    } catch (error) {
      // what a listing that broke off had told may be gone by the time of the next one, and nothing would say so
      if (pages > 0 && since.cursor === null) throw error;
      await attempts.pauseAfter(error);
    }
  }
}

async function readOnce(http: Http, since: Since, onPage: (page: FeedPage) => void): Promise<FeedEnd> {
  const parents = new Map<number, number>(); // of the folders that were told
  let top: number | null = null; // what has no name: the root of a home
  let end: FeedEnd | null = null;
  for await (const frame of treeFrames(http, { since })) {
    if (end !== null) throw mismatch('something came behind the end of the changes');
    if (frame.type === FRAME.cursor) end = readFeedEnd(payloadOf(frame));
    else if (frame.type === FRAME.nodes) {
      const { present, gone } = readNodes(payloadOf(frame));
      for (const id of gone) checkId(id);
      const page = { present: present.map(checkedNode), gone };
      for (const { nodeId, parentId, kind, name } of page.present) {
        if (kind === 'folder') parents.set(nodeId, parentId);
        if (name === '') top = nodeId;
      }
      onPage(page);
    } else throw mismatch('the server told changes in frames of another kind');
  }
  if (end === null) throw mismatch('the server told no end of the changes');
  checkId(end.rootId);
  if (end.cursor === '' || (top !== null && top !== end.rootId)) throw mismatch('the end of the changes does not fit them');
  checkNoLoop(parents, end.rootId);
  return end;
}

function checkedNode(node: FeedNode): RemoteNode {
  const { nodeId, parentId, name, kind, size, chunkCount, digest, target } = node;
  checkId(nodeId);
  if (parentId !== 0) checkId(parentId);
  if (parentId === nodeId) throw mismatch('a folder is in itself');
  if (name !== '' || parentId !== 0) safeName(name);
  const possible =
    kind === 'file'
      ? size >= 0 && size <= LIMITS.fileBytesMax && chunkCount <= LIMITS.fileChunksMax && isCutLikeThat(size, chunkCount)
      : kind === 'folder' || isTarget(target);
  if (!possible || node.version < 0) throw mismatch(`what the server says of "${name}" cannot be`);
  return { ...node, digest: digest === null ? null : Buffer.from(digest) };
}

function isCutLikeThat(size: number, chunks: number): boolean {
  return chunks === 0 ? size === 0 : size >= chunks && size <= chunks * LIMITS.chunkBytesMax;
}

function isTarget(target: string | null): boolean {
  return target !== null && target !== '' && !target.includes('\0') && Buffer.byteLength(target) <= LIMITS.symlinkTargetBytesMax;
}

function checkId(id: number): void {
  if (!Number.isSafeInteger(id) || id <= 0) throw mismatch('the server told of a node with an impossible number');
}

/** Each folder that was told leads to one that was not, or to the root. */
function checkNoLoop(parents: ReadonlyMap<number, number>, root: number): void {
  const safe = new Set([root]);
  for (const start of parents.keys()) {
    const way = new Set<number>();
    for (let at: number | undefined = start; at !== undefined && !safe.has(at); at = parents.get(at)) {
      if (way.has(at)) throw mismatch('the server told of folders that are in each other');
      way.add(at);
    }
    for (const id of way) safe.add(id);
  }
}

function mismatch(message: string): AppError {
  return new AppError('protocol_mismatch', message);
}
