import { LIMITS } from '../Models/limits.ts';
import type { PlanResult, RestDeed, RestDiff, RestPlan, RestTrashItem, RestVersion } from '../Models/rest_history.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

/** The past of what is there, and of what is gone. The newest comes first. Errors as of `Driftless`; what else, each says. */
export type HistoryMethods = {
  /** The contents that a file has had, fetched page by page as they are taken. @throws AppError `not_found`, `not_a_file` */
  versions(path: string): AsyncIterable<RestVersion>;
  /**
   * Makes an older version the newest, or with `to` a copy of it where nothing is; its bytes are not sent again.
   * @throws AppError `not_found` (also: no such version, or no longer), `not_a_file`, `already_exists`, `forbidden`
   */
  restore(path: string, version: number, options?: { to?: string }): Promise<{ path: string; version: number; unchanged: boolean }>;
  /**
   * How two versions of a text differ, as a unified diff. @param to the newest if not given
   * @throws AppError `not_found`, `not_a_file`, `not_text`, `too_large` (over 1 MiB, or too different)
   */
  diff(path: string, from: number, to?: number): Promise<RestDiff>;
  /** Keeps a version for ever, whatever the policy of the server is. @throws AppError `not_found`, `not_a_file`, `forbidden` */
  pin(path: string, version: number): Promise<void>;
  /** From now on it goes as others do. @throws AppError as `pin` */
  unpin(path: string, version: number): Promise<void>;
  /** Who did what to it; also to what is gone. @throws AppError `not_found` */
  deeds(path: string): AsyncIterable<RestDeed>;
  /** What was deleted below a path, space by space. */
  trash(path?: string): AsyncIterable<RestTrashItem>;
  /**
   * Brings back what was deleted, with all that was in it. @param what the `id` of an item of the trash, or the path of the last that was deleted there
   * @throws AppError `not_found` (also: its folder is gone), `already_exists`, `name_collides`, `forbidden`
   */
  undelete(what: string | number, options?: { to?: string }): Promise<{ path: string; version: number }>;
  /**
   * What would make a folder again what it was at a time, or at the cursor of a change; `goBack` does it. What is shared below it is left alone.
   * @throws AppError `not_found` (also: before the beginning, or the folder was not there), `not_a_folder`, `forbidden`, `cursor_invalid`, `too_large`
   */
  rewind(path: string, to: { time: Date } | { cursor: string }): Promise<Plan>;
  /**
   * What would take back an operation, or all that a device did behind a time; `goBack` does it. What others changed since is a conflict, and stays.
   * @param what `user`: whose device, one's own if not given
   * @throws AppError `not_found` (no such operation), `too_large`
   */
  undo(what: { operation: string } | { device: string; since: Date; user?: string }): Promise<Plan>;
  /** Does exactly what was previewed, all of it or nothing. @throws AppError `version_stale` when it would be something else by now */
  goBack(plan: Pick<RestPlan, 'plan'>): Promise<PlanResult>;
};

/** With all its steps and conflicts. */
export type Plan = Omit<RestPlan, 'next'>;

const loadRest = async () => {
  const [rest, history] = await Promise.all([import('../Models/rest.ts'), import('../Models/rest_history.ts')]);
  return { ...rest, ...history };
};

/** All rows of a listing, page by page. */
async function* allPages<Row>(load: (after?: string) => Promise<{ rows: readonly Row[]; next: string | null }>): AsyncGenerator<Row> {
  for (let page = await load(); ; page = await load(page.next ?? undefined)) {
    yield* page.rows;
    if (page.next === null) return;
  }
}

export function historyMethods(http: Http): HistoryMethods {
  const call = restCaller(http, loadRest);
  const preview = async (route: 'rewind' | 'undo', body: unknown): Promise<Plan> => {
    const { next, ...plan } = await call(({ RestPlan }) => ({ schema: RestPlan, method: 'POST', route: ROUTES[route], body }));
    for (let after = next; after !== null; ) {
      const query = { plan: plan.plan, after, limit: LIMITS.pageEntriesMax };
      const page = await call(({ RestPlan }) => ({ schema: RestPlan, method: 'GET', route: ROUTES.plans, query }));
      plan.steps.push(...page.steps);
      plan.conflicts.push(...page.conflicts);
      after = page.next;
    }
    return plan;
  };
  return {
    rewind: (path, to) => preview('rewind', 'time' in to ? { path, time: to.time.toISOString() } : { path, cursor: to.cursor }),
    undo: (what) => preview('undo', 'operation' in what ? what : { ...what, since: what.since.toISOString() }),
    goBack: ({ plan }) => call(({ PlanResult }) => ({ schema: PlanResult, method: 'POST', route: ROUTES.plans, body: { plan } })),
    versions: (path) =>
      allPages(async (after) => {
        const page = await call(({ VersionsPage }) => ({
          schema: VersionsPage,
          method: 'GET',
          route: ROUTES.versions,
          query: { path, after },
        }));
        return { rows: page.versions, next: page.next };
      }),
    restore: (path, version, { to } = {}) =>
      call(({ WrittenResult }) => ({ schema: WrittenResult, method: 'POST', route: ROUTES.restore, body: { path, version, to } })),
    diff: (path, from, to) => call(({ RestDiff }) => ({ schema: RestDiff, method: 'GET', route: ROUTES.diff, query: { path, from, to } })),
    pin: (path, version) => call<void>(() => ({ schema: null, method: 'POST', route: ROUTES.pins, body: { path, version } })),
    unpin: (path, version) => call<void>(() => ({ schema: null, method: 'DELETE', route: ROUTES.pins, query: { path, version } })),
    deeds: (path) =>
      allPages(async (after) => {
        const page = await call(({ DeedsPage }) => ({ schema: DeedsPage, method: 'GET', route: ROUTES.deeds, query: { path, after } }));
        return { rows: page.deeds, next: page.next };
      }),
    trash: (path = '/') =>
      allPages(async (after) => {
        const page = await call(({ TrashPage }) => ({ schema: TrashPage, method: 'GET', route: ROUTES.trash, query: { path, after } }));
        return { rows: page.items, next: page.next };
      }),
    undelete: (what, { to } = {}) =>
      call(({ UndeleteResult }) => ({
        schema: UndeleteResult,
        method: 'POST',
        route: ROUTES.undelete,
        body: { ...(typeof what === 'number' ? { id: what } : { path: what }), to },
      })),
  };
}
