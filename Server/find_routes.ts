import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { microsecondsFromIso } from '../Models/rest.ts';
import { RestStatistics, SearchPage, SearchParameters, StatisticsParameters } from '../Models/rest_find.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Search } from '../Storage/search.ts';
import type { Statistics } from '../Storage/statistics.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds, restEntry } from './rest_shapes.ts';
import type { Turns } from './turns.ts';

export type FindRouteDeps = {
  readonly search: Search;
  readonly statistics: Statistics;
  readonly authenticate: Authenticate;
  readonly inTurn: Turns;
  readonly inSearchTurn: Turns;
};

/** Finding by name and counting, over all that the caller can read. */
export function registerFindRoutes(
  plain: FastifyInstance,
  { search, statistics, authenticate, inTurn, inSearchTurn }: FindRouteDeps,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.search,
    { schema: { summary: 'Find by name everywhere', querystring: SearchParameters, response: { 200: SearchPage, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { text, kind = null, since, larger = null, after = null, limit } = request.query;
      const sinceUs = since === undefined ? null : microsecondsFromIso(since);
      const wanted = { text, kind, sinceUs, largerBytes: larger, after, limit };
      const page = await inSearchTurn(principal.userId, () => search.search(principal, wanted));
      return { entries: page.entries.map(restEntry), next: page.next };
    },
  );
  app.get(
    ROUTES.statistics,
    {
      schema: { summary: 'Count what is below a path', querystring: StatisticsParameters, response: { 200: RestStatistics, ...PROBLEMS } },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path } = request.query;
      const { kinds, days, busiest, changesSinceMs, ...counted } = await inTurn(principal.userId, () => statistics.report(principal, path));
      return {
        path,
        ...counted,
        kinds: [...kinds],
        changesSince: isoFromMilliseconds(changesSinceMs),
        days: [...days],
        busiest: [...busiest],
      };
    },
  );
}
