import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { listen } from './listen.ts';
import { uploadOf } from './testing/form.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let base: string;
before(async () => {
  server = await openServer();
  base = await listen(server.app, { host: '127.0.0.1', port: 0 });
});
after(() => server[Symbol.asyncDispose]());

function send(user: User, method: string, path: string, headers: Record<string, string | number> = {}): ClientRequest {
  return httpRequest(base + path, { method, agent: false, headers: { authorization: `Bearer ${user.ticket}`, ...headers } });
}

async function endSession(user: User): Promise<void> {
  await server.accounts.endSession(user.sessionId, Date.now());
  await server.revocations.poll();
}

/** The same person with another session. */
async function logInAgain({ id, name }: User): Promise<User> {
  const sessionId = randomBytes(16).toString('hex');
  await server.accounts.openSession({ id: sessionId, userId: id, deviceId: '3'.repeat(32), deviceName: 'test', atMs: Date.now() });
  return { id, name, sessionId, ticket: await server.ticketFor({ id, name, sessionId }) };
}

test('a download that goes on after the session was ended is broken off', async () => {
  const alice = await server.addUser('alice');
  const content = randomBytes(48 * 1024 * 1024);
  assert.equal((await server.ask(alice, uploadOf('/long.bin', content))).status, 200);
  const sending = send(alice, 'GET', `${ROUTES.files}?path=/long.bin`).end();
  const [answer] = (await once(sending, 'response')) as [IncomingMessage];
  await endSession(alice);
  let bytes = 0;
  answer.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  await assert.rejects(once(answer, 'end'), { code: 'ECONNRESET' });
  assert.ok(bytes < content.length / 2, `${bytes} bytes still came`);
});

test('an upload that goes on after the session was ended is refused and makes no file', async () => {
  const bob = await server.addUser('bob');
  for (const [path, atEnd] of [
    ['/in the content.bin', 100_000],
    ['/at the last boundary.bin', 20],
  ] as const) {
    const session = await logInAgain(bob);
    const { headers, payload } = uploadOf(path, randomBytes(200_000));
    const sending = send(session, 'POST', ROUTES.files, { ...headers, 'content-length': payload.length });
    const taken = once(server.app.server, 'request');
    sending.write(payload.subarray(0, payload.length - atEnd));
    await taken;
    await endSession(session);
    sending.end(payload.subarray(payload.length - atEnd));
    const [answer] = (await once(sending, 'response')) as [IncomingMessage];
    assert.equal(answer.statusCode, 401, path);
    answer.resume();
    const found = await server.ask(await logInAgain(bob), { method: 'GET', url: `${ROUTES.entry}?${new URLSearchParams({ path })}` });
    assert.equal(found.status, 404, path);
  }
});
