import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { ROUTES } from '../../Models/routes.ts';
import { type Answer, openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';
import { openReceiver, type WebhookReceiver } from '../testing/webhook_receiver.ts';
import { allowedWebhookHosts, isPublicAddress } from '../webhook_addresses.ts';
import { signature } from './webhook_sender.ts';

let server: ServerFixture;
let receiver: WebhookReceiver;
let alice: User;
let bob: User;
before(async () => {
  receiver = await openReceiver();
  server = await openServer({ webhookHosts: [receiver.origin] });
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

const add = (user: User, payload: object, on = server): Promise<Answer> => on.ask(user, { method: 'POST', url: ROUTES.webhooks, payload });
const list = async (user: User) => (await server.ask(user, { method: 'GET', url: ROUTES.webhooks })).json().webhooks;
const remove = (user: User, id: string): Promise<Answer> => server.ask(user, { method: 'DELETE', url: `${ROUTES.webhooks}/${id}` });

test('a webhook is added with a secret that is shown once, is sent what happens, and is removed by its user alone', async () => {
  const made = await add(alice, { url: `${receiver.origin}/in`, kinds: ['changed'] });
  assert.equal(made.status, 200);
  const { secret, ...webhook } = made.json();
  assert.match(secret, /^[\w-]{43}$/);
  assert.deepEqual(await list(alice), [webhook]);
  assert.deepEqual([webhook.url, webhook.kinds, webhook.state], [`${receiver.origin}/in`, ['changed'], 'active']);
  await server.ask(alice, { method: 'POST', url: ROUTES.folders, payload: { path: '/a' } });
  const [received] = await receiver.requests(1);
  assert.ok(received !== undefined);
  const shown = String(received.headers['driftless-signature']);
  assert.equal(shown, signature(secret, Number(/^t=(\d+),/.exec(shown)?.[1]), received.body));
  assert.deepEqual(await list(bob), []);
  assert.equal((await remove(bob, webhook.id)).status, 404);
  assert.equal((await remove(alice, webhook.id)).status, 204);
  assert.equal((await remove(alice, webhook.id)).status, 404);
  assert.ok(server.logged.every((line) => !line.includes(secret)));
});

test('what is no address, or not one that is allowed, is refused', async () => {
  const { port } = new URL(receiver.origin);
  const refused: [unknown, number, string][] = [
    [`http://user:secret@127.0.0.1:${port}/`, 400, 'request_invalid'],
    [`http://127.0.0.1:${port}/#part`, 400, 'request_invalid'],
    ['ftp://127.0.0.1/', 400, 'request_invalid'],
    ['file:///etc/passwd', 400, 'request_invalid'],
    ['no address', 400, 'request_invalid'],
    [`${receiver.origin}/${'x'.repeat(LIMITS.webhookUrlCharsMax)}`, 400, 'request_invalid'],
    [7, 400, 'request_invalid'],
    [`https://127.0.0.1:${port}/`, 403, 'forbidden'],
    [`http://localhost:${port}/`, 403, 'forbidden'],
    ['http://127.0.0.1/', 403, 'forbidden'],
    ['https://example.org/', 403, 'forbidden'],
  ];
  for (const [url, status, code] of refused) {
    const answer = await add(alice, { url });
    assert.deepEqual([answer.status, answer.json().code], [status, code], String(url));
  }
  for (const kinds of [[], ['everything'], 'changed']) assert.equal((await add(alice, { url: receiver.origin, kinds })).status, 400);
  assert.deepEqual(await list(alice), []);
});

test('a server whose administrator allows no address takes no webhook, and a user has only so many', async () => {
  await using none = await openServer();
  const answer = await add(await none.addUser('carol'), { url: receiver.origin }, none);
  assert.deepEqual([answer.status, answer.json().code], [403, 'forbidden']);
  for (let n = 0; n < LIMITS.webhooksPerUserMax; n += 1) assert.equal((await add(bob, { url: receiver.origin })).status, 200);
  const over = await add(bob, { url: receiver.origin });
  assert.deepEqual([over.status, over.json().code], [413, 'too_large']);
});

test('hosts are allowed as they are written, wildcards for names below one only', () => {
  const hosts = allowedWebhookHosts(['Example.org', '*.hooks.example:8443', 'http://10.0.0.7:80', '[::1]', 'http://*.0.0.example']);
  const isAllowed = (url: string): boolean => {
    try {
      hosts.admit(url);
      return true;
    } catch {
      return false;
    }
  };
  const allowed = [
    'https://example.org/x',
    'https://EXAMPLE.org:443',
    'https://a.b.hooks.example:8443',
    'http://10.0.0.7',
    'http://0xa000007/',
    'https://[0:0::1]/',
  ];
  const refused = [
    'http://example.org',
    'https://example.org:444',
    'https://example.org.evil.example',
    'https://evilexample.org',
    'https://a.example.org',
    'https://example.org.',
    'https://hooks.example:8443',
    'https://a.hooks.example',
    'https://evilhooks.example:8443',
    'https://10.0.0.7',
    'http://10.0.0.8',
    'https://[::ffff:127.0.0.1]',
  ];
  assert.deepEqual(
    allowed.filter((url) => !isAllowed(url)),
    [],
  );
  assert.deepEqual(refused.filter(isAllowed), []);
  for (const pattern of ['*', '*.', '*.1.2.3', 'ftp://a', 'a/b', 'a@b', '*.*.a', 'http://', 'a:99999', 'a\\b']) {
    assert.throws(() => allowedWebhookHosts([pattern]), { code: 'config_invalid' }, pattern);
  }
});

test('only addresses that mean the same host everywhere are public', () => {
  const [open, special] = [
    ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2a00::1'],
    [
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '127.0.0.1',
      '169.254.169.254',
      '172.31.255.255',
      '192.168.0.1',
      '198.19.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ].concat(
      [
        '::',
        '::1',
        '::ffff:8.8.8.8',
        '::ffff:127.0.0.1',
        '64:ff9b::7f00:1',
        'fc00::1',
        'fd12::1',
        'fe80::1',
        'fe80::1%lo',
        'ff02::1',
        '2001::1',
        '2001:db8::1',
        '2002:7f00:1::',
      ],
      ['localhost', ''],
    ),
  ];
  assert.deepEqual(
    open.filter((address) => !isPublicAddress(address)),
    [],
  );
  assert.deepEqual(special.filter(isPublicAddress), []);
});
