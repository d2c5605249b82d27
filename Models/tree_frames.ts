import { DIGEST_BYTES } from './chunk_frames.ts';
import { AppError } from './errors.ts';
import { type Moment, momentText, parseMoment } from './events.ts';
import { FRAME, type FrameWriter, PayloadReader } from './frames.ts';
import { nameProblem } from './names.ts';
import { type ChunkRef, type EntryKind, MODE } from './operations.ts';

/** An entry as a tree stream tells it: what a transfer compares. */
export type TreeEntry = {
  readonly name: string;
  readonly kind: EntryKind;
  readonly size: number; // bytes
  readonly mtimeUs: number;
  readonly version: number;
  readonly mode: number; // permission bits
  readonly chunkCount: number;
  readonly digest: Uint8Array | null; // of a file
  readonly target: string | null; // of a symlink
};

/**
 * Folder frame: index of the path in the request (u32), last page of this folder (u8), then entries until the payload's end:
 *   kind u8 (0 file, 1 folder, 2 symlink, 255 nothing there), and unless nothing is there: mode u16, name, size f64, mtime f64,
 *   version f64, and for a file chunk count u32 and content id (32), for a symlink its target.
 * `stat` answers with a folder frame for each path, holding one entry.
 */
const KINDS = ['file', 'folder', 'symlink'] as const satisfies readonly EntryKind[];
const NOTHING = 255;
const NO_DIGEST = new Uint8Array(DIGEST_BYTES);

export function beginFolder(writer: FrameWriter, index: number, last: boolean): void {
  writer.begin(FRAME.folder).u32(index).u8(Number(last));
}

export function writeEntry(writer: FrameWriter, entry: TreeEntry | null): void {
  if (entry === null) {
    writer.u8(NOTHING);
    return;
  }
  writer.u8(KINDS.indexOf(entry.kind)).u16(entry.mode).text(entry.name);
  writer.f64(entry.size).f64(entry.mtimeUs).f64(entry.version);
  if (entry.kind === 'file') writer.u32(entry.chunkCount).bytes(entry.digest ?? NO_DIGEST);
  else if (entry.kind === 'symlink') writer.text(entry.target ?? '');
}

/** Names are as the server sent them: `safeName` before one becomes part of a local path. @throws AppError `frame_invalid` */
export function readFolder(payload: Uint8Array): { index: number; last: boolean; entries: (TreeEntry | null)[] } {
  const reader = new PayloadReader(payload);
  const index = reader.u32();
  const last = reader.u8() === 1;
  const entries: (TreeEntry | null)[] = [];
  while (reader.remaining > 0) entries.push(readEntry(reader));
  return { index, last, entries };
}

function readEntry(reader: PayloadReader): TreeEntry | null {
  const number = reader.u8();
  if (number === NOTHING) return null;
  const kind = KINDS[number];
  if (kind === undefined) throw new AppError('frame_invalid', 'unknown kind of entry');
  const mode = readMode(reader);
  const name = reader.text();
  const size = reader.f64();
  const mtimeUs = reader.f64();
  const version = reader.f64();
  const file = kind === 'file';
  const chunkCount = file ? reader.u32() : 0;
  const digest = file ? reader.bytes(DIGEST_BYTES) : null;
  const target = kind === 'symlink' ? reader.text() : null;
  return { name, kind, size, mtimeUs, version, mode, chunkCount, digest, target };
}

function readMode(reader: PayloadReader): number {
  const mode = reader.u16();
  if (mode > MODE.max) throw new AppError('frame_invalid', 'a mode has bits that are no permission bits');
  return mode;
}

/** A node as it is now, wherever it was when it changed. */
export type FeedNode = {
  readonly nodeId: number;
  readonly parentId: number; // 0 for the root of a home
  readonly name: string;
  readonly kind: EntryKind;
  readonly size: number; // bytes
  readonly mtimeUs: number;
  readonly mode: number; // permission bits
  readonly version: number; // of what is mounted, that of its place
  readonly digest: Uint8Array | null; // content id of a file
  readonly chunkCount: number;
  readonly target: string | null; // of a symlink
  /** A folder whose content is not part of this feed: it came from outside, or changed its space. It is listed by itself. */
  readonly unlisted: boolean;
};
/** What is gone is gone with all that was below it, except what is told to be present elsewhere. */
export type FeedPart = { readonly present: readonly FeedNode[]; readonly gone: readonly number[] };
export type FeedEnd = { readonly cursor: string; readonly rootId: number };

/**
 * Nodes frame: until the payload's end flags u8 (1 present, 2 unlisted) and node f64, and of one that is present parent f64, kind u8, name,
 * mode u16, size f64, mtime f64, version f64, and for a file chunk count u32 and content id (32), for a symlink its target.
 */
const PRESENT = 1;
const UNLISTED = 2;

export function writeNodes(writer: FrameWriter, { present, gone }: FeedPart): void {
  writer.begin(FRAME.nodes);
  for (const node of present) {
    writer
      .u8(PRESENT | (node.unlisted ? UNLISTED : 0))
      .f64(node.nodeId)
      .f64(node.parentId);
    writer.u8(KINDS.indexOf(node.kind)).text(node.name).u16(node.mode).f64(node.size).f64(node.mtimeUs).f64(node.version);
    if (node.kind === 'file') writer.u32(node.chunkCount).bytes(node.digest ?? NO_DIGEST);
    else if (node.kind === 'symlink') writer.text(node.target ?? '');
  }
  for (const nodeId of gone) writer.u8(0).f64(nodeId);
  writer.finish();
}

/** Names are as the server sent them, as in `readFolder`. @throws AppError `frame_invalid` */
export function readNodes(payload: Uint8Array): { present: FeedNode[]; gone: number[] } {
  const reader = new PayloadReader(payload);
  const present: FeedNode[] = [];
  const gone: number[] = [];
  while (reader.remaining > 0) {
    const flags = reader.u8();
    const nodeId = reader.f64();
    if (flags === 0) gone.push(nodeId);
    else if ((flags & ~UNLISTED) === PRESENT) present.push(readNode(reader, nodeId, flags === (PRESENT | UNLISTED)));
    else throw new AppError('frame_invalid', 'unknown flags of a node');
  }
  return { present, gone };
}

function readNode(reader: PayloadReader, nodeId: number, unlisted: boolean): FeedNode {
  const parentId = reader.f64();
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new AppError('frame_invalid', 'unknown kind of node');
  const name = reader.text();
  const mode = readMode(reader);
  const size = reader.f64();
  const mtimeUs = reader.f64();
  const version = reader.f64();
  const file = kind === 'file';
  const chunkCount = file ? reader.u32() : 0;
  const digest = file ? reader.bytes(DIGEST_BYTES) : null;
  const target = kind === 'symlink' ? reader.text() : null;
  return { nodeId, parentId, name, kind, size, mtimeUs, mode, version, digest, chunkCount, target, unlisted };
}

/** Cursor frame: node of the folder that was asked about f64, then the cursor until the payload's end; it comes last. */
export function writeFeedEnd(writer: FrameWriter, { cursor, rootId }: FeedEnd): void {
  writer.begin(FRAME.cursor).f64(rootId).bytes(new TextEncoder().encode(cursor)).finish();
}

export function readFeedEnd(payload: Uint8Array): FeedEnd {
  const reader = new PayloadReader(payload);
  const rootId = reader.f64();
  return { cursor: new TextDecoder().decode(reader.bytes(reader.remaining)), rootId };
}

/**
 * Past frame: cursor, moment. From the client up to where it was told, without a moment; from the server the cursor past what the push did, and
 * the moment at which nothing else was behind it.
 */
export type Past = { readonly cursor: string; readonly at: Moment | null };

export function writePast(writer: FrameWriter, { cursor, at }: Past): void {
  writer
    .begin(FRAME.past)
    .text(cursor)
    .text(at === null ? '' : momentText(at))
    .finish();
}

/** @throws AppError `frame_invalid` */
export function readPast(payload: Uint8Array): Past {
  const reader = new PayloadReader(payload);
  const past = { cursor: reader.text(), at: parseMoment(reader.text()) };
  reader.end();
  return past;
}

/** A name that came from the server, about to become part of a local path. @throws AppError `name_invalid` */
export function safeName(name: string): string {
  const problem = nameProblem(name);
  if (problem !== null) throw new AppError('name_invalid', `the server sent a name that cannot be used: ${problem}`);
  return name;
}

/** Paths frame: paths until the payload's end. */
export function writePaths(writer: FrameWriter, found: readonly string[]): void {
  writer.begin(FRAME.paths);
  for (const path of found) writer.text(path);
  writer.finish();
}

export function readPaths(payload: Uint8Array): string[] {
  const reader = new PayloadReader(payload);
  const found: string[] = [];
  while (reader.remaining > 0) found.push(reader.text());
  return found;
}

export type ManifestFrame = {
  readonly version: number;
  readonly size: number;
  readonly digest: Uint8Array;
  readonly chunks: readonly ChunkRef[];
};

/**
 * Manifest frame: index of the path in the request (u32), found (u8), then version f64, size f64, content id (32), and until the payload's
 * end digest (32) and length u32 of each chunk. A long manifest comes as several frames, each with all of that, `more` (u8) set but in the last.
 */
const CHUNKS_PER_FRAME = 100_000;

export function writeManifest(writer: FrameWriter, index: number, manifest: ManifestFrame | null): void {
  if (manifest === null) {
    writer.begin(FRAME.manifest).u32(index).u8(0).finish();
    return;
  }
  for (let first = 0; first === 0 || first < manifest.chunks.length; first += CHUNKS_PER_FRAME) {
    const chunks = manifest.chunks.slice(first, first + CHUNKS_PER_FRAME);
    writer.begin(FRAME.manifest).u32(index).u8(1).f64(manifest.version).f64(manifest.size).bytes(manifest.digest);
    writer.u8(Number(first + chunks.length < manifest.chunks.length));
    for (const chunk of chunks) writer.bytes(chunk.digest).u32(chunk.length);
    writer.finish();
  }
}

/** @throws AppError `frame_invalid` */
export function readManifest(payload: Uint8Array): { index: number; more: boolean; manifest: ManifestFrame | null } {
  const reader = new PayloadReader(payload);
  const index = reader.u32();
  if (reader.u8() === 0) return { index, more: false, manifest: null };
  const version = reader.f64();
  const size = reader.f64();
  const digest = reader.bytes(DIGEST_BYTES);
  const more = reader.u8() === 1;
  const chunks: ChunkRef[] = [];
  while (reader.remaining > 0) chunks.push({ digest: reader.bytes(DIGEST_BYTES), length: reader.u32() });
  return { index, more, manifest: { version, size, digest, chunks } };
}
