import { assertNever } from '../Models/errors.ts';
import { FrameWriter } from '../Models/frames.ts';
import { beginFolder, writeEntry, writeManifest, writePaths } from '../Models/tree_frames.ts';
import type { TreeRequest } from '../Models/tree_request.ts';
import type { Metadata, Principal } from '../Storage/metadata.ts';

const SEND_BYTES = 256 * 1024; // frames are gathered up to this much

/** The answer to a tree request, in pieces of bounded size. */
export async function* treeFrames(metadata: Metadata, principal: Principal, request: TreeRequest): AsyncGenerator<Uint8Array> {
  const writer = new FrameWriter(SEND_BYTES);
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
      beginFolder(writer, index, last);
      for (const entry of entries) writeEntry(writer, entry);
      writer.finish();
      if (last) index += 1;
      yield;
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
      writePaths(writer, paths);
      yield;
    }
  } else if ('manifests' in request) {
    for (const [index, path] of request.manifests.entries()) {
      const [manifest] = await metadata.manifests(principal, [path]);
      writeManifest(writer, index, manifest ?? null);
      yield;
    }
  } else assertNever(request);
}
