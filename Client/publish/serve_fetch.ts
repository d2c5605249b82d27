import { AppError } from '../../Models/errors.ts';
import { type FetchMessage, RELAY_REFUSALS, type RelayRefusal } from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Http } from '../http.ts';
import type { AnnouncedFolder } from './announced_folder.ts';

type Deps = { readonly http: Http; readonly folder: Pick<AnnouncedFolder, 'open'>; readonly signal: AbortSignal };
/** What came of one fetch by somebody. */
export type Served = { readonly path: string; readonly user: string; readonly start: number; readonly length: number };

/**
 * Sends what somebody asked this device for, or says why it does not. Which file that is, is looked up by its digest among those announced:
 * nothing that the server says becomes a path.
 * @throws AppError of the connection; `file_changed` when the file changed while it was sent: what was sent is cut off
 */
export async function serveFetch({ http, folder, signal }: Deps, { relay, digest, start, length, user }: FetchMessage): Promise<Served> {
  const refuse = async (error: unknown): Promise<never> => {
    const code = error instanceof AppError ? error.code : 'local_io';
    const refused: RelayRefusal = RELAY_REFUSALS.find((one) => one === code) ?? 'local_io';
    await http.json(null, 'POST', ROUTES.relay, { query: { id: relay, refused } });
    throw error;
  };
  const file = await folder.open(digest).catch(refuse);
  try {
    if (start + length > file.size) await refuse(new AppError('range_invalid', 'the file is shorter'));
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(length) };
    const { body } = await http.stream('POST', ROUTES.relay, {
      query: { id: relay },
      headers,
      body: length === 0 ? Buffer.alloc(0) : file.read(start, length),
      signal,
    });
    body.resume();
    return { path: file.path, user, start, length };
  } finally {
    await file.close();
  }
}
