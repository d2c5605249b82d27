import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { splitPath } from '../../Models/names.ts';
import { PlanBody, PlanQuery, PlanResult, RestPlan, RewindBody, UndoBody } from '../../Models/rest_history.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { BackConflict, BackPlan, BackRequest, BackStep, History } from '../../Storage/history.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { Authenticate } from '../authenticate.ts';
import { PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';
import type { Turns } from '../turns.ts';

export type PlanRouteDeps = {
  readonly history: Pick<History, 'preview' | 'previewed' | 'goBack'>;
  readonly authenticate: Authenticate;
  readonly inTurn: Turns;
};

/** Going back: what it would do is asked first, and done only if it still is just that. */
export function registerPlanRoutes(plain: FastifyInstance, { history, authenticate, inTurn }: PlanRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const answer = { 200: RestPlan, ...PROBLEMS };
  const preview = async (principal: Principal, request: BackRequest) =>
    page(await inTurn(principal.userId, () => history.preview(principal, request)), request, {
      after: 0,
      limit: LIMITS.pageEntriesDefault,
    });

  app.post(
    ROUTES.rewind,
    { schema: { summary: 'What would make a folder again what it was; does nothing', body: RewindBody, response: answer } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, time, cursor } = request.body;
      splitPath(path);
      const to = cursor === undefined ? { timeMs: Date.parse(time ?? '') } : { cursor };
      return preview(principal, { kind: 'rewind', path, to });
    },
  );
  app.post(
    ROUTES.undo,
    { schema: { summary: 'What would take back an operation, or what a device did; does nothing', body: UndoBody, response: answer } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { body } = request;
      if ('operation' in body) return preview(principal, { kind: 'undo', operation: body.operation });
      const { device, since, user = principal.userName } = body;
      return preview(principal, { kind: 'undo', device, user, sinceMs: Date.parse(since) });
    },
  );
  app.get(ROUTES.plans, { schema: { summary: 'More of what it would do', querystring: PlanQuery, response: answer } }, async (request) => {
    const { principal } = await authenticate(request);
    const { plan, after = '0', limit } = request.query;
    const { request: asked, digest } = readToken(plan);
    if (!/^[0-9]{1,9}$/.test(after)) throw new AppError('cursor_invalid', 'not a position of this plan');
    const made = await inTurn(principal.userId, () => history.previewed(principal, asked, digest));
    return page(made, asked, { after: Number(after), limit });
  });
  app.post(
    ROUTES.plans,
    { schema: { summary: 'Do what was previewed, all of it or nothing', body: PlanBody, response: { 200: PlanResult, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { request: asked, digest } = readToken(request.body.plan);
      return inTurn(principal.userId, () => history.goBack(principal, asked, digest));
    },
  );
}

const StoredRequest = z.union([
  z.strictObject({
    kind: z.literal('rewind'),
    path: z.string().max(LIMITS.pathBytesMax),
    to: z.union([z.strictObject({ timeMs: z.int() }), z.strictObject({ cursor: z.string().max(8192) })]),
  }),
  z.strictObject({ kind: z.literal('undo'), operation: z.string().max(64) }),
  z.strictObject({ kind: z.literal('undo'), user: z.string().max(255), device: z.string().max(255), sinceMs: z.int() }),
]);
const Token = z.tuple([StoredRequest, z.string().regex(/^[0-9a-f]{64}$/)]);

function writeToken(request: BackRequest, digest: string): string {
  return Buffer.from(JSON.stringify([request, digest])).toString('base64url');
}

/** Nothing in it is trusted: what it asks is asked anew. @throws AppError `request_invalid` */
function readToken(token: string): { readonly request: BackRequest; readonly digest: string } {
  const parsed = Token.safeParse(jsonOf(token));
  if (!parsed.success) throw new AppError('request_invalid', 'not a plan');
  const [request, digest] = parsed.data;
  if (request.kind === 'rewind') splitPath(request.path);
  return { request, digest };
}

function jsonOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown;
  } catch (cause) {
    throw new AppError('request_invalid', 'not a plan', { cause });
  }
}

function page(made: BackPlan, request: BackRequest, { after, limit }: { after: number; limit: number }) {
  const end = after + limit;
  return {
    plan: writeToken(request, made.digest),
    counts: made.counts,
    steps: made.steps.slice(after, end).map(restStep),
    conflicts: made.conflicts.slice(after, end).map(restConflict),
    next: made.steps.length > end || made.conflicts.length > end ? String(end) : null,
  };
}

function restStep({ kind, path, fromPath, entryKind, size }: BackStep) {
  return { kind, path, from: fromPath, entry: entryKind, size };
}

function restConflict({ path, reason, by }: BackConflict) {
  if (by === null) return { path, reason, by };
  const { user, device, operation, atMs } = by;
  return { path, reason, by: { user, device, operation, at: isoFromMilliseconds(atMs) } };
}
