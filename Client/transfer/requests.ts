import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, type Frame, FrameParser, payloadOf } from '../../Models/frames.ts';
import { type ManifestRuns, readManifestRuns } from '../../Models/manifest_runs.ts';
import { readError } from '../../Models/operation_frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { type ManifestFrame, readFolder, readManifest, type TreeEntry } from '../../Models/tree_frames.ts';
import type { TreeRequest } from '../../Models/tree_request.ts';
import type { Http } from '../http.ts';

const DIGESTS = { 'content-type': 'application/octet-stream' };

/** Frames of an answer up to its end frame. @throws AppError: what an error frame says; `upload_interrupted` when the stream was cut off */
export async function* framesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Frame[]> {
  const parser = new FrameParser();
  let ended = false;
  for await (const bytes of body) {
    const frames: Frame[] = [];
    let failure: AppError | null = null;
    parser.push(bytes, (frame) => {
      if (frame.type === FRAME.end) ended = true;
      else if (frame.type === FRAME.error) failure = readError(payloadOf(frame));
      else frames.push(frame);
    });
    if (frames.length > 0) yield frames;
    if (failure !== null) throw failure;
  }
  if (!ended) throw new AppError('server_unreachable', 'the connection was lost before the answer was complete');
}

/** The frames of the answer to a tree request. */
export async function* treeFrames(http: Http, request: TreeRequest): AsyncGenerator<Frame> {
  const body = Buffer.from(JSON.stringify(request));
  const answer = await http.stream('POST', ROUTES.tree, { headers: { 'content-type': 'application/json' }, body });
  for await (const frames of framesOf(answer.body)) yield* frames;
}

/** Entries of each of these folders, in the order asked; a missing folder has none. */
export async function listFolders(http: Http, paths: readonly string[]): Promise<TreeEntry[][]> {
  const folders: TreeEntry[][] = paths.map(() => []);
  for await (const frame of treeFrames(http, { list: [...paths] })) {
    const { index, entries } = readFolder(payloadOf(frame));
    folders[index]?.push(...entries.filter((entry) => entry !== null));
  }
  return folders;
}

/** The entries at these paths, `null` where there is none. */
export async function statPaths(http: Http, paths: readonly string[]): Promise<(TreeEntry | null)[]> {
  const found: (TreeEntry | null)[] = paths.map(() => null);
  for await (const frame of treeFrames(http, { stat: [...paths] })) {
    const { index, entries } = readFolder(payloadOf(frame));
    found[index] = entries[0] ?? null;
  }
  return found;
}

/** The chunks of a file; `null` when there is none. */
export async function fetchManifest(http: Http, path: string): Promise<ManifestFrame | null> {
  const parts: ManifestFrame[] = [];
  for await (const frame of treeFrames(http, { manifests: [path] })) {
    const { manifest } = readManifest(payloadOf(frame));
    if (manifest !== null) parts.push(manifest);
  }
  const [first] = parts;
  return first === undefined ? null : { ...first, chunks: parts.flatMap((part) => part.chunks) };
}

/** For each digest, whether the server holds the chunk already. */
export async function askHave(http: Http, digests: readonly Uint8Array[]): Promise<boolean[]> {
  const answer = await http.stream('POST', ROUTES.have, { headers: DIGESTS, body: Buffer.concat(digests) });
  const held: boolean[] = [];
  for await (const bytes of answer.body as AsyncIterable<Buffer>) for (const byte of bytes) held.push(byte === 1);
  if (held.length !== digests.length) throw new AppError('protocol_mismatch', 'the server answered for another number of chunks');
  return held;
}

/** Signatures of these chunks; one of no bytes where the server has none. */
export async function fetchSignatures(http: Http, digests: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const answer = await http.stream('POST', ROUTES.signature, { headers: DIGESTS, body: Buffer.concat(digests) });
  const signatures: Uint8Array[] = [];
  for await (const frames of framesOf(answer.body)) for (const frame of frames) signatures.push(payloadOf(frame));
  if (signatures.length !== digests.length) throw new AppError('protocol_mismatch', 'the server answered for another number of chunks');
  return signatures;
}

/** The chunks of a file as runs of an older version of it; `null` when there is no such file. */
export async function fetchManifestRuns(http: Http, path: string, against: number): Promise<ManifestRuns | null> {
  let found: ManifestRuns | null = null;
  for await (const frame of treeFrames(http, { manifest: path, against })) found = readManifestRuns(payloadOf(frame));
  return found;
}

/** A chunk to pull, and a chunk that is here already which it may be told against. */
export type PullPair = { readonly digest: Uint8Array; readonly base: Uint8Array | null };

/** The frames of these chunks in this order: chunk frames, or a missing frame in the place of one that cannot be read. */
export async function* pullChunks(http: Http, pairs: readonly PullPair[]): AsyncGenerator<Frame[]> {
  const withBases = pairs.some(({ base }) => base !== null);
  const step = withBases ? 2 * DIGEST_BYTES : DIGEST_BYTES;
  const body = Buffer.alloc(pairs.length * step);
  for (const [i, { digest, base }] of pairs.entries()) {
    body.set(digest, i * step);
    if (base !== null) body.set(base, i * step + DIGEST_BYTES);
  }
  const query = withBases ? { bases: 1 } : undefined;
  const answer = await http.stream('POST', ROUTES.pull, { query, headers: DIGESTS, body });
  yield* framesOf(answer.body);
}
