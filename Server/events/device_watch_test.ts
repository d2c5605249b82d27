import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROUTES } from '../../Models/routes.ts';
import { openServer, type ServerFixture } from '../testing/server_fixture.ts';

let server: ServerFixture;
before(async () => {
  server = await openServer();
});
after(() => server[Symbol.asyncDispose]());

test('a further device of a user is told with its name when it first asks something', async () => {
  const ann = await server.addUser('ann');
  const device = '5'.repeat(32);
  await server.accounts.openSession({ id: '6'.repeat(32), userId: ann.id, deviceId: device, deviceName: 'phone', atMs: Date.now() });
  const ticket = await server.ticketFor(ann, { claims: { dev: device } });
  const changes = async () => (await server.ask(ann, { method: 'GET', url: ROUTES.changes })).json().changes;
  assert.deepEqual(await changes(), []);
  for (let n = 0; n < 3; n += 1) await server.ask({ ...ann, ticket }, { method: 'GET', url: ROUTES.whoami });
  const deadline = Date.now() + 30_000;
  while ((await changes()).length === 0) assert.ok(Date.now() < deadline, 'nothing is told');
  const told = (await changes()) as { kind: string; device: string; details: unknown }[];
  assert.deepEqual(
    told.map(({ kind, device: by, details }) => [kind, by, details]),
    [['device', device, { device, name: 'phone' }]],
  );
});
