import { basename } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import type { Http } from '../http.ts';
import { OpenFile } from './byte_file.ts';
import { checkManifest, fetchInto, heldFromStart, placed } from './fill_file.ts';
import { finishPart, localError, openPart, partPath, sha256 } from './local_files.ts';
import { fetchManifest } from './requests.ts';
import type { Wanted } from './wanted.ts';

/**
 * Gets a file of many chunks into a part file whose name depends on the file's and the content, so that a get that was broken off goes
 * on behind the last chunk that is whole. @throws AppError `not_found`, `chunk_missing`, `digest_mismatch`, `local_io`, and what the connection throws
 */
export async function getLargeFile(http: Http, { local, remote, entry }: Wanted): Promise<void> {
  const manifest = await fetchManifest(http, remote);
  if (manifest === null) throw new AppError('not_found', `${remote}: no longer there`);
  if (!Buffer.from(manifest.digest).equals(entry.digest)) throw new AppError('not_found', `${remote}: replaced while it was being fetched`);
  checkManifest(manifest.chunks, entry);
  const part = partPath(local, sha256(Buffer.concat([entry.digest, Buffer.from(basename(local))])));
  const file = new OpenFile(openPart(part));
  try {
    const chunks = placed(manifest.chunks);
    await fetchInto(http, file, chunks.slice(heldFromStart(file, chunks)));
    file.truncate(entry.size);
  } catch (error) {
    file.close();
    throw localError(part, error);
  }
  finishPart(file.fd, part, local, entry);
}
