import type { ZodType } from 'zod';
import type { Http, Method, Query } from './http.ts';

/** One request of a REST route and what its answer must be; `null` where the answer says nothing. */
type RestCall<T> = {
  readonly schema: ZodType<T> | null;
  readonly method: Method;
  readonly route: string;
  readonly query?: Query;
  readonly body?: unknown;
};
export type Caller<Shapes> = <T>(make: (shapes: Shapes) => RestCall<T>) => Promise<T>;

/**
 * Calls whose shapes are in a module of Models that is loaded with the first call: zod and the schemas are a third of a command's start, and a
 * transfer needs none of them.
 */
export function restCaller<Shapes>(http: Http, load: () => Promise<Shapes>): Caller<Shapes> {
  return async (make) => {
    const { schema, method, route, query, body } = make(await load());
    return http.json(schema, method, route, { query, body });
  };
}
