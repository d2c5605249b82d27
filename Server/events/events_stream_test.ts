import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { ROUTES } from '../../Models/routes.ts';
import { seededRandom } from '../../Models/testing/seeded_random.ts';
import { testSeed } from '../../Models/testing/test_seed.ts';
import { listen } from '../listen.ts';
import { EventClient, type Message } from '../testing/event_client.ts';
import { deeds } from '../testing/requests.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';

let server: ServerFixture;
let base: string;
before(async () => {
  server = await openServer();
  base = await listen(server.app, { host: '127.0.0.1', port: 0 });
});
after(() => server[Symbol.asyncDispose]());

const { post, mkdir, share } = deeds(() => server);
const follow = (user: User, since: string): EventClient => new EventClient(base, user.ticket, since);
const pathsOf = (messages: readonly Message[]): unknown[] => messages.filter(({ kind }) => kind === 'mkdir').map(({ path }) => path);
const at = (path: string) => (message: Message) => message.path === path;
const numbered = (folder: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${folder}/${from + i}`);

test('what happened before is told first, then what happens, each once, in order and with a cursor to go on from', async () => {
  const ann = await server.addUser('ann');
  for (const path of numbered('', 0, 5)) await mkdir(ann, path);
  using client = follow(ann, 'start');
  await client.until(at('/4'));
  for (const path of numbered('', 5, 10)) await mkdir(ann, path);
  const messages = await client.until(at('/9'));
  assert.deepEqual(pathsOf(messages), numbered('', 0, 10));
  assert.equal(messages[0]?.type, 'connected');
  const placed = messages.filter(({ cursor }) => cursor !== undefined); // presence has no place
  for (const [n, { cursor, path }] of placed.entries()) {
    if (path === '/9') break;
    using again = follow(ann, cursor as string);
    assert.deepEqual(pathsOf(await again.until(at('/9'))), pathsOf(placed.slice(n + 1)));
  }
  using late = follow(ann, 'now');
  await late.until(({ type }) => type === 'connected');
  await mkdir(ann, '/late');
  assert.deepEqual(pathsOf(await late.until(at('/late'))), ['/late']);
});

test('a notice is a message of its own type', async () => {
  const [ben, cay] = [await server.addUser('ben'), await server.addUser('cay')];
  using client = follow(cay, 'now');
  await client.until(({ type }) => type === 'connected');
  await mkdir(ben, '/team');
  const { id } = await post(ben, ROUTES.invitations, { path: '/team', user: 'cay' });
  const invited = (await client.until(({ type }) => type === 'invited')).at(-1);
  assert.deepEqual(invited?.details, { id, folder: 'team', from: 'ben', role: 'viewer', message: null });
});

test('a member hears of a shared folder, under the name it has for them now, from joining until leaving', async () => {
  const [dan, eve] = [await server.addUser('dan'), await server.addUser('eve')];
  await mkdir(dan, '/team');
  await mkdir(eve, '/mine');
  using client = follow(eve, 'now');
  await client.until(({ type }) => type === 'connected');
  await mkdir(dan, '/team/before');
  await share(dan, '/team', eve);
  await mkdir(dan, '/team/1');
  await client.until(at('/team/1'));
  await post(eve, ROUTES.move, { from: '/team', to: '/ours' });
  await mkdir(dan, '/team/2');
  await client.until(at('/ours/2'));
  await post(eve, ROUTES.leave, { path: '/ours' });
  await mkdir(dan, '/team/3');
  await mkdir(eve, '/end');
  assert.deepEqual(pathsOf(await client.until(at('/end'))), ['/team/1', '/ours/2', '/end']);
});

test('what is in a shared folder inside another one is told under the name it has now, whoever moved it', async () => {
  const [lia, moe, nel] = [await server.addUser('lia'), await server.addUser('moe'), await server.addUser('nel')];
  await mkdir(lia, '/team/in');
  await share(lia, '/team', moe);
  await share(lia, '/team/in', nel);
  using client = follow(moe, 'now');
  await client.until(({ type }) => type === 'connected');
  await mkdir(lia, '/team/in/1');
  await client.until(at('/team/in/1'));
  await post(lia, ROUTES.move, { from: '/team/in', to: '/team/out' });
  await mkdir(nel, '/in/2');
  assert.deepEqual(pathsOf(await client.until(at('/team/out/2'))), ['/team/in/1', '/team/out/2']);
});

test('a cursor that is none, and of another user, is refused before there is a connection', async () => {
  const [fay, gil] = [await server.addUser('fay'), await server.addUser('gil')];
  await mkdir(fay, '/a');
  await mkdir(gil, '/a');
  const { cursor } = (await server.ask(gil, { method: 'GET', url: ROUTES.changes })).json();
  for (const since of ['nonsense', cursor]) {
    using client = follow(fay, since);
    assert.equal((await client.closed).code, 1006);
    assert.deepEqual(client.messages, []);
  }
});

test('a client that does not read for a while goes on where it was, and misses nothing', async () => {
  const hal = await server.addUser('hal');
  const slow = connect(Number(new URL(base).port), '127.0.0.1')
    .setEncoding('latin1')
    .pause();
  const key = Buffer.alloc(16).toString('base64');
  slow.write(
    `GET ${ROUTES.events}?since=start HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${hal.ticket}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const principal = { userId: hal.id, userName: hal.name, deviceId: '2'.repeat(32) };
  const long = 'x'.repeat(200);
  const total = 40 * 500;
  for (let n = 0; n < 40; n += 1) {
    const stream = { id: Buffer.alloc(16, n), firstOperation: 0, resumed: false };
    const operations = numbered('/', n * 500, n * 500 + 500).map((path) => ({
      kind: 'mkdir' as const,
      path: `/${path.slice(2)} ${long}`,
      existingOk: false,
      mode: null,
      mtimeUs: null,
    }));
    await server.metadata.commit(principal, stream, [], operations);
  }
  let text = '';
  slow.on('data', (piece) => {
    text += piece;
  });
  slow.resume();
  const deadline = Date.now() + 300_000;
  while (!text.includes(`"path":"/${total - 1} `)) {
    assert.ok(Date.now() < deadline, `${text.length} bytes came`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  slow.destroy();
  const told = Array.from(text.matchAll(/"path":"\/(\d+) /g), ([, n]) => Number(n));
  assert.deepEqual(
    told,
    Array.from({ length: total }, (_, n) => n),
  );
});

test('followers hear who comes and goes, of their own devices and of those who share a folder with them', async () => {
  const [ida, jon, kay] = [await server.addUser('ida'), await server.addUser('jon'), await server.addUser('kay')];
  await mkdir(ida, '/team');
  await share(ida, '/team', jon);
  using ida1 = follow(ida, 'now');
  using kay1 = follow(kay, 'now');
  await Promise.all([ida1, kay1].map((client) => client.until(({ type }) => type === 'connected')));
  using jon1 = follow(jon, 'now');
  await jon1.until(({ type }) => type === 'connected');
  const isJon = ({ type, user }: Message) => type === 'presence' && user === 'jon';
  const [came] = (await ida1.until(isJon)).filter(isJon);
  assert.deepEqual([came?.online, came?.name, came?.device], [true, 'test', '2'.repeat(32)]);
  await jon1.end();
  const gone = (message: Message) => isJon(message) && message.online === false;
  await ida1.until(gone, LIMITS.presenceGraceMs + 30_000);
  await mkdir(kay, '/end');
  assert.ok(!(await kay1.until(at('/end'))).some(isJon));
});

test('clients cut off at random and going on from where they were miss nothing and hear nothing twice', async (t) => {
  const users = await Promise.all(['lea', 'max', 'ned', 'ola'].map((name) => server.addUser(name)));
  const [owner, ...guests] = users as [User, ...User[]];
  await mkdir(owner, '/all');
  for (const guest of guests) await share(owner, '/all', guest);
  const seed = testSeed('followers of events');
  t.diagnostic(`seed ${seed}`);
  const next = seededRandom(seed);
  const random = (below: number): number => Math.floor(next() * below);
  const [perUser, changes] = [12, 100];
  const followers = users.flatMap((user) => Array.from({ length: perUser }, () => ({ user, first: follow(user, 'now') })));
  await Promise.all(followers.map(({ first }) => first.until(({ type }) => type === 'connected')));
  const heard = followers.map(async ({ user, first }) => {
    const paths: unknown[] = [];
    for (let cursor: string | undefined; ; ) {
      using client = cursor === undefined ? first : follow(user, cursor);
      const enough = random(30);
      await client.until((message) => client.messages.length > enough || message.path === '/all/end', 60_000);
      const messages = [...client.messages];
      await client.end();
      paths.push(...pathsOf(messages));
      if (messages.some(({ path }) => path === '/all/end')) return paths;
      cursor = messages.findLast((message) => message.cursor !== undefined)?.cursor ?? cursor;
    }
  });
  const paths = numbered('/all', 0, changes);
  for (const [n, path] of paths.entries()) await mkdir(users[n % users.length] as User, path);
  await mkdir(owner, '/all/end');
  for (const told of await Promise.all(heard)) assert.deepEqual(told, [...paths, '/all/end']);
});
