import { hash } from 'node:crypto';
import { findCut } from '../../Models/chunking.ts';
import { contentId } from '../../Models/content_id.ts';

const IDS = new WeakMap<Buffer, string>(); // found bytes are never changed

/** What the server calls a content, in hex. */
export function contentIdOf(bytes: Buffer): string {
  const known = IDS.get(bytes);
  if (known !== undefined) return known;
  const chunks: { digest: Buffer; length: number }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = findCut(bytes, at, bytes.length);
    chunks.push({ digest: sha256(bytes.subarray(at, end)), length: end - at });
    at = end;
  }
  const id = contentId(chunks, sha256).toString('hex');
  IDS.set(bytes, id);
  return id;
}

function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}
