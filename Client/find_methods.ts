import type { FileKind } from '../Models/file_kinds.ts';
import type { EntryKind } from '../Models/operations.ts';
import type { RestEntry } from '../Models/rest.ts';
import type { RestStatistics, SearchPage } from '../Models/rest_find.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

/** `since`: modified then or later. `larger`: files of more bytes. */
export type SearchOptions = { readonly kind?: EntryKind | FileKind; readonly since?: Date; readonly larger?: number };
export type SearchPageOptions = SearchOptions & { readonly after?: string; readonly limit?: number };

/** Finding and counting. Errors as of `Driftless`; what else, each says. */
export type FindMethods = {
  /** Everything the user can read whose name holds this text, shared folders included; what was made last comes first. @throws AppError `request_invalid` (text empty or too long) */
  search(text: string, options?: SearchOptions): AsyncIterable<RestEntry>;
  /** One page, which may be short or even empty; `next` is the `after` of the page behind it. @throws AppError as `search`, `cursor_invalid` */
  searchPage(text: string, options?: SearchPageOptions): Promise<SearchPage>;
  /** Files, bytes, kinds, and what changed in the last thirty days, of a folder and all below it. @throws AppError `not_found`, `not_a_folder` */
  statistics(path?: string): Promise<RestStatistics>;
};

export function findMethods(http: Http): FindMethods {
  const call = restCaller(http, () => import('../Models/rest_find.ts'));
  const searchPage: FindMethods['searchPage'] = (text, { since, ...options } = {}) =>
    call(({ SearchPage }) => ({
      schema: SearchPage,
      method: 'GET',
      route: ROUTES.search,
      query: { text, since: since?.toISOString(), ...options },
    }));
  return {
    searchPage,
    async *search(text, options = {}) {
      let page = await searchPage(text, options);
      yield* page.entries;
      while (page.next !== null) {
        page = await searchPage(text, { ...options, after: page.next });
        yield* page.entries;
      }
    },
    statistics: (path = '/') =>
      call(({ RestStatistics }) => ({ schema: RestStatistics, method: 'GET', route: ROUTES.statistics, query: { path } })),
  };
}
