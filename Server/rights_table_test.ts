import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { ASKERS, type Asker, outcomeOf, RIGHTS, type Scene } from './testing/rights_table.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';
import { openReceiver } from './testing/webhook_receiver.ts';

let server: ServerFixture;
const users = new Map<string, User>();
const user = (name: string): User => users.get(name) as User;
const stack = new AsyncDisposableStack();
before(async () => {
  const receiver = stack.use(await openReceiver());
  server = stack.use(await openServer({ webhookHosts: [receiver.origin] }));
  for (const name of [...ASKERS, 'somebody']) users.set(name, await server.addUser(name));
  for (const path of ['/team', '/club']) {
    await good('owner', { method: 'POST', url: ROUTES.folders, payload: { path } });
    for (const role of ['editor', 'viewer'] as const) {
      const { id } = await good('owner', { method: 'POST', url: ROUTES.invitations, payload: { path, user: role, role } });
      await good(role, { method: 'POST', url: `${ROUTES.invitations}/${id}/accept`, payload: {} });
    }
  }
  webhook = (await good('owner', { method: 'POST', url: ROUTES.webhooks, payload: { url: receiver.origin } })).id;
});
after(() => stack.disposeAsync());
let webhook: string;

async function good(name: string, request: Parameters<ServerFixture['ask']>[1]): Promise<ReturnType<Answer['json']>> {
  const answer = await server.ask(user(name), request);
  assert.ok(answer.status < 300, `${String(request.url)}: ${answer.bytes}`);
  return answer.bytes.length === 0 ? null : answer.json();
}

const get = (url: string, query: Record<string, string>) => ({ method: 'GET', url: `${url}?${new URLSearchParams(query)}` }) as const;

async function sceneFor(asker: Asker): Promise<Scene> {
  const folder = `/team/${asker}`;
  const [file, gone] = [`${folder}/file.txt`, `${folder}/gone.txt`];
  const content = `the newer content for ${asker}\n`.padEnd(100_000, 'x'); // long enough for a signature
  const { version } = await good('owner', uploadOf(file, 'older\n'));
  await good('owner', uploadOf(gone, 'gone'));
  await good('owner', { ...get(ROUTES.entry, { path: gone }), method: 'DELETE' });
  await good('owner', uploadOf(file, content));
  const [newest] = (await good('owner', get(ROUTES.versions, { path: file }))).versions ?? [];
  const operation: string = newest.operation;
  const { plan } = await good('owner', { method: 'POST', url: ROUTES.undo, payload: { operation } });
  return { asker, folder, file, gone, content, version, operation, plan, club: '/club', webhook, ...shared };
}
let shared: Pick<Scene, 'link' | 'publication' | 'invitation'>;

/** What the owner sees happen in the shared folder since the last time. */
let cursor = '';
async function whatHappened(): Promise<string[]> {
  const page = await good('owner', get(ROUTES.changes, cursor === '' ? {} : { after: cursor }));
  cursor = page.cursor;
  return page.changes.map(({ kind, path }: { kind: string; path: string }) => `${kind} ${path}`);
}

/** What the owner of a shared folder hears of because a viewer may do it. */
const OF_VIEWERS: Readonly<Record<string, readonly string[]>> = {
  'POST /v1/leave': ['members /club'],
  'POST /v1/links': ['link /'],
};

test('each route that needs a ticket has a row', () => {
  const routes = server.app.routeTable.filter((route) => !route.public).map(({ method, url }) => `${method} ${url}`);
  assert.deepEqual(Object.keys(RIGHTS).toSorted(), routes.toSorted());
});

test('every route gives owner, editor, viewer, a stranger and an administrator what the table says, and nobody changes what they may not', async () => {
  const publication = { name: 'set', audience: { kind: 'users', users: [] } };
  const invited = { path: '/club', user: 'somebody' };
  shared = {
    link: (await good('owner', { method: 'POST', url: ROUTES.links, payload: { path: '/team' } })).id,
    publication: (await good('owner', { method: 'POST', url: ROUTES.publications, payload: publication })).id,
    invitation: (await good('owner', { method: 'POST', url: ROUTES.invitations, payload: invited })).id,
  };
  const scenes = new Map<Asker, Scene>();
  for (const asker of ASKERS) scenes.set(asker, await sceneFor(asker));
  while ((await whatHappened()).length > 0);
  for (const [route, [expected, ask]] of Object.entries(RIGHTS)) {
    const outcomes: string[] = [];
    for (const asker of ASKERS.toReversed()) {
      const scene = scenes.get(asker) as Scene;
      const answer = await server.ask(user(asker), ask(scene));
      outcomes.unshift(outcomeOf(route, answer, scene.content));
      const happened = await whatHappened();
      const own = asker === 'viewer' ? (OF_VIEWERS[route] ?? []) : [];
      if (!['owner', 'editor'].includes(asker)) assert.deepEqual(happened, own, `${route} as ${asker}`);
    }
    assert.equal(outcomes.join(' '), expected, route);
  }
});
