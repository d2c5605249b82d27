import { AppError } from '../../Models/errors.ts';
import type { Http } from '../http.ts';
import type { FeedEnd, FeedPage } from './remote.ts';

export async function readChanges(
  _deps: { readonly http: Http },
  _from: { readonly root: string; readonly cursor: string | null },
  _onPage: (page: FeedPage) => void,
): Promise<FeedEnd> {
  throw new AppError('internal', 'not there yet');
}
