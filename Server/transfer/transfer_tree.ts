import { assertNever } from '../../Models/errors.ts';
import { FrameWriter } from '../../Models/frames.ts';
import { type ManifestRuns, RunWriter, writeManifestRuns } from '../../Models/manifest_runs.ts';
import { beginFolder, type FeedPart, writeEntry, writeFeedEnd, writeManifest, writeNodes, writePaths } from '../../Models/tree_frames.ts';
import type { TreeRequest } from '../../Models/tree_request.ts';
import type { ListedEntry, Metadata, Principal } from '../../Storage/metadata.ts';

const SEND_BYTES = 256 * 1024; // frames are gathered up to this much
const FIRST_BYTES = 4 * 1024; // most answers are shorter
const FRAME_BYTES = 1024 * 1024; // a frame that is longer is ended and another one begun

/** The answer to a tree request, in pieces of bounded size. */
export async function* treeFrames(metadata: Metadata, principal: Principal, request: TreeRequest): AsyncGenerator<Uint8Array> {
  const writer = new FrameWriter(FIRST_BYTES);
  for await (const _ of framesOf(metadata, principal, request, writer)) {
    if (writer.length >= SEND_BYTES) yield writer.take();
  }
  if (writer.length > 0) yield writer.take();
}

/** Writes frame after frame, stopping after each so that the caller can send. */
async function* framesOf(metadata: Metadata, principal: Principal, request: TreeRequest, writer: FrameWriter): AsyncGenerator<void> {
  if ('list' in request) {
    let index = 0;
    for await (const { entries, last } of metadata.readFolders(principal, request.list)) {
      const parts = partsOf(entries, entryBytes);
      for (const [i, part] of parts.entries()) {
        beginFolder(writer, index, last && i === parts.length - 1);
        for (const entry of part) writeEntry(writer, entry);
        writer.finish();
        yield;
      }
      if (last) index += 1;
    }
  } else if ('stat' in request) {
    for (const [index, entry] of (await metadata.stat(principal, request.stat)).entries()) {
      beginFolder(writer, index, true);
      writeEntry(writer, entry);
      writer.finish();
      yield;
    }
  } else if ('walk' in request) {
    for await (const paths of metadata.walkFolders(principal, request.walk)) {
      for (const part of partsOf(paths, textBytes)) {
        writePaths(writer, part);
        yield;
      }
    }
  } else if ('manifests' in request) {
    for (const [index, path] of request.manifests.entries()) {
      const [manifest] = await metadata.manifests(principal, [path]);
      writeManifest(writer, index, manifest ?? null);
      yield;
    }
  } else if ('manifest' in request) {
    writeManifestRuns(writer, await manifestRuns(metadata, principal, request));
    yield;
  } else if ('since' in request) {
    for await (const part of metadata.feed(principal, request.since)) {
      if ('cursor' in part) writeFeedEnd(writer, part);
      else writePart(writer, part);
      yield;
    }
  } else assertNever(request);
}

function writePart(writer: FrameWriter, { present, gone }: FeedPart): void {
  if (gone.length > 0) writeNodes(writer, { present: [], gone });
  if (present.length > 0) for (const part of partsOf(present, entryBytes)) writeNodes(writer, { present: part, gone: [] });
}

/** All of it by itself where the older version is not known. */
async function manifestRuns(
  metadata: Metadata,
  principal: Principal,
  { manifest: path, against }: { readonly manifest: string; readonly against: number },
): Promise<ManifestRuns | null> {
  const [manifest] = await metadata.manifests(principal, [path]);
  if (manifest === undefined || manifest === null) return null;
  const older = new RunWriter(await metadata.olderChunks(principal, path, against));
  for (const chunk of manifest.chunks) older.add(chunk);
  return { ...manifest, runs: older.runs };
}

/** Long names and targets can make a page longer than a frame may be. @returns at least one part */
function partsOf<T>(all: readonly T[], bytesOf: (one: T) => number): readonly (readonly T[])[] {
  const parts: T[][] = [[]];
  let bytes = 0;
  for (const one of all) {
    if (bytes > FRAME_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(one);
    bytes += bytesOf(one);
  }
  return parts;
}

/** At most; UTF-8 has up to three bytes for one unit of a string. */
function textBytes(text: string): number {
  return 2 + 3 * text.length;
}

function entryBytes({ name, target }: Pick<ListedEntry, 'name' | 'target'>): number {
  return 96 + textBytes(name) + (target === null ? 0 : textBytes(target));
}
