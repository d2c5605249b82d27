import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastify, { type InjectOptions } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { ROUTES } from '../Models/routes.ts';
import { registerEntryRoutes } from './entry_routes.ts';
import { registerFindRoutes } from './find_routes.ts';
import { registerHistoryRoutes } from './history/history_routes.ts';
import { registerPlanRoutes } from './history/plan_routes.ts';
import { registerQuotaRoutes } from './quota_routes.ts';
import { createTurns } from './turns.ts';

test('one user has so many turns, all together have so many, and each comes back however the work ends', async () => {
  const inTurn = createTurns({ most: 3, each: 2 });
  const ends: (() => void)[] = [];
  const begin = (user: string) => inTurn(user, () => new Promise<void>((resolve) => ends.push(resolve)));
  const running = [begin('a'), begin('a')];
  await assert.rejects(begin('a'), { code: 'too_many_requests' });
  running.push(begin('b'));
  await assert.rejects(begin('c'), { code: 'busy' });
  for (const end of ends.splice(0)) end();
  await Promise.all(running);
  for (let n = 0; n < 5; n += 1)
    await assert.rejects(
      inTurn('a', () => Promise.reject(new Error('broke'))),
      { message: 'broke' },
    );
  assert.equal(await inTurn('a', async () => 'done'), 'done');
});

test('what looks at much is asked for by turns, on every route of it', async (t) => {
  const app = fastify();
  t.after(() => app.close());
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) =>
    reply
      .code(500)
      .serializer(String)
      .send(error instanceof AppError ? error.message : `not in turn: ${String(error)}`),
  );
  // whatever is not asked for in turn finds nothing to ask
  const deps = {
    authenticate: async () => ({ principal: { userId: 'alice', userName: 'alice', deviceId: 'laptop' } }),
    inTurn: async (userId: string) => {
      throw new AppError('busy', `a turn of ${userId}`);
    },
    inSearchTurn: async (userId: string) => {
      throw new AppError('busy', `a turn of ${userId}`);
    },
  } as never;
  for (const register of [registerEntryRoutes, registerFindRoutes, registerHistoryRoutes, registerPlanRoutes, registerQuotaRoutes])
    register(app, deps);
  const time = new Date(0).toISOString();
  const plan = Buffer.from(JSON.stringify([{ kind: 'undo', operation: '1' }, '0'.repeat(64)])).toString('base64url');
  const asked: InjectOptions[] = [
    { url: ROUTES.statistics },
    { url: `${ROUTES.search}?text=x` },
    { url: `${ROUTES.list}?path=/&search=x` },
    { url: ROUTES.usage },
    { url: `${ROUTES.diff}?path=/f&from=1` },
    { url: `${ROUTES.plans}?plan=${plan}` },
    { method: 'POST', url: ROUTES.plans, payload: { plan } },
    { method: 'POST', url: ROUTES.rewind, payload: { path: '/', time } },
    { method: 'POST', url: ROUTES.undo, payload: { device: 'laptop', since: time } },
  ];
  for (const one of asked) assert.equal((await app.inject(one)).payload, 'a turn of alice', String(one.url));
});
