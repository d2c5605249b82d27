import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import { openServerStore, type ServerStore } from '../../Storage/server_store.ts';
import type { Outcome, Webhook, Webhooks } from '../../Storage/webhooks.ts';
import { LocalFanOut } from '../events/events_fan_out.ts';
import { alice, allChanges, bob, done, mkdir, share } from '../testing/two_users.ts';
import { eventsOf, openReceiver, type Received, type WebhookReceiver } from '../testing/webhook_receiver.ts';
import { allowedWebhookHosts, type Resolve, resolveName } from '../webhook_addresses.ts';
import { DELIVERY_TIMES, type DeliveryTimes, WebhookDelivery } from './webhook_delivery.ts';
import { openWebhookSender } from './webhook_sender.ts';

const SECRET = 'key of the signatures';
/** Retries and gaps of milliseconds. */
const QUICK: DeliveryTimes = { ...DELIVERY_TIMES, retryMs: 1, retryMsMax: 8, gapMs: 1 };

type Options = {
  readonly hosts?: readonly string[];
  readonly resolve?: Resolve;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly times?: Partial<DeliveryTimes>;
  readonly disabled?: Set<string>;
  readonly timeoutMs?: number;
  readonly onOutcome?: (outcome: Outcome) => void;
};
type Running = AsyncDisposable & {
  readonly store: ServerStore;
  readonly delivery: WebhookDelivery;
  readonly ended: string[];
  add(url: string, kinds?: Webhook['kinds'], who?: typeof alice): Promise<Webhook>;
};

/** What rest_server.ts puts together, on the database in the folder. */
async function run(folder: string, options: Options): Promise<Running> {
  const stack = new AsyncDisposableStack();
  const close = (part: { close(): Promise<void> }): Promise<void> => part.close();
  const store = stack.adopt(
    await openServerStore({ kind: 'sqlite', file: join(folder, 'driftless.db') }, { now: options.now ?? Date.now }),
    close,
  );
  const onFailure = (error: unknown): never => {
    throw error;
  };
  const changes = stack.adopt(new LocalFanOut(store, onFailure), close);
  store.onTouched((touched) => changes.publish(touched));
  const now = options.now ?? Date.now;
  const hosts = allowedWebhookHosts(options.hosts ?? []);
  const sender = await openWebhookSender({ hosts, resolve: options.resolve ?? resolveName, timeoutMs: options.timeoutMs ?? 10_000, now });
  const ended: string[] = [];
  const accounts = {
    findUser: async (name: string) => {
      const found = [alice, bob].find(({ userName, userId }) => userName === name && options.disabled?.has(userId) !== true);
      return found === undefined ? null : { id: found.userId, name };
    },
  };
  const webhooks: Webhooks = {
    ...store.webhooks,
    settle: async (claimed, outcome) => {
      options.onOutcome?.(outcome);
      await store.webhooks.settle(claimed, outcome);
    },
  };
  const delivery = stack.adopt(
    new WebhookDelivery(
      {
        ...store,
        webhooks,
        accounts,
        changes,
        sender,
        now,
        random: options.random ?? (() => 1),
        onEnded: (_id, reason) => ended.push(reason),
        onFailure,
      },
      { ...QUICK, ...options.times },
    ),
    close,
  );
  delivery.refresh();
  return {
    store,
    delivery,
    ended,
    async add(url, kinds = null, who = alice) {
      const webhook = await store.webhooks.add(who, { url, kinds, secret: SECRET });
      delivery.refresh();
      return webhook;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const pathsOf = (received: readonly Received[]): string[] => received.flatMap(eventsOf).map(({ path }) => path);
const told = (count: number) => (received: readonly Received[]) => pathsOf(received).length >= count;
const failing: WebhookReceiver['answer'] = (response) => void response.writeHead(500).end();

/** Waits for what another part writes to the database. */
async function eventually<T>(ask: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await ask();
    if (holds(value)) return value;
    await new Promise(setImmediate);
  }
}

test('what happens is sent in order, each once, signed, with the cursor of the feed, and only what is wanted', async (t) => {
  await using receiver = await openReceiver();
  await using notices = await openReceiver();
  await using running = await run(await temporaryFolder(t), { hosts: [receiver.origin, notices.origin], now: () => 1_700_000_000_999 });
  const { store } = running;
  const { id } = await running.add(`${receiver.origin}/in?key=1`);
  await running.add(notices.origin, ['device']);
  const names = Array.from({ length: LIMITS.webhookBatchChanges + 50 }, (_, n) => `/f${n}`);
  await done(
    store.metadata,
    alice,
    names.map((path) => mkdir(path)),
  );
  await store.notices.tell(alice, { kind: 'device', details: { device: 'd', name: 'phone' } });
  await done(store.metadata, alice, [mkdir('/last')]);
  await receiver.until(told(names.length + 3));
  const [, ...changes] = await allChanges(store.metadata, alice); // but for the notice that it was added
  const events = receiver.received.flatMap(eventsOf);
  assert.deepEqual(
    events.map(({ type, kind, path, cursor }) => ({ type, kind, path, cursor })),
    changes.map(({ kind, path, cursor }) => ({ type: kind === 'mkdir' ? 'changed' : kind, kind, path, cursor })),
  );
  for (const { headers, body, path } of receiver.received) {
    const { webhook, cursor, events: own } = JSON.parse(body);
    assert.deepEqual([webhook, path, headers['content-type']], [id, '/in?key=1', 'application/json']);
    assert.equal(cursor, own.at(-1).cursor);
    assert.ok(own.length <= LIMITS.webhookBatchChanges);
    const expected = createHmac('sha256', SECRET).update(`1700000000.${body}`).digest('hex');
    assert.equal(headers['driftless-signature'], `t=1700000000,v1=${expected}`);
  }
  await notices.requests(1);
  assert.deepEqual(
    notices.received.flatMap(eventsOf).map(({ type }) => type),
    ['device'],
  );
});

test('a batch is cut where it would be longer than a request may be', async (t) => {
  await using receiver = await openReceiver();
  await using running = await run(await temporaryFolder(t), { hosts: [receiver.origin], times: { lookMs: 60_000 } });
  const { store } = running;
  await store.webhooks.add(alice, { url: receiver.origin, kinds: null, secret: SECRET });
  const name = (n: number): string => `${n}`.padEnd(120, 'x');
  let path = '';
  const deep = Array.from({ length: 25 }, (_, n) => (path = `${path}/${name(n)}`));
  const wide = Array.from({ length: 72 }, (_, n) => `${path}/${n}`);
  await done(
    store.metadata,
    alice,
    [...deep, ...wide].map((each) => mkdir(each)),
  );
  running.delivery.refresh();
  await receiver.until(told(deep.length + wide.length));
  assert.deepEqual(pathsOf(receiver.received), [...deep, ...wide]);
  assert.ok(receiver.received.length > 1);
  for (const { body } of receiver.received) assert.ok(Buffer.byteLength(body) < LIMITS.webhookBatchBytes + 20_000, `${body.length}`);
});

test('what is not taken is sent again, after times that double up to the most, with jitter, and then goes on', async (t) => {
  await using receiver = await openReceiver();
  receiver.answer = (response, n) => void response.writeHead(n <= 5 ? 500 : 200).end('said');
  let nowMs = 0;
  const waits: number[] = [];
  await using running = await run(await temporaryFolder(t), {
    hosts: [receiver.origin],
    now: () => (nowMs = Date.now()),
    random: () => 0.5,
    times: { retryMs: 8, retryMsMax: 48 },
    onOutcome: (outcome) => void (outcome.kind === 'failed' && waits.push(outcome.dueAtMs - nowMs)),
  });
  const { webhooks, metadata } = running.store;
  const { id } = await running.add(receiver.origin);
  await done(metadata, alice, [mkdir('/a')]);
  await receiver.requests(6);
  assert.deepEqual(waits, [6, 12, 24, 36, 36]);
  for (const [at, waitMs] of waits.entries()) {
    const [before, behind] = receiver.received.slice(at, at + 2);
    assert.ok((behind?.atMs ?? 0) - (before?.atMs ?? 0) >= waitMs - 2, 'it was waited for');
  }
  await done(metadata, alice, [mkdir('/b')]);
  await receiver.requests(7);
  assert.deepEqual(pathsOf(receiver.received), ['/a', '/a', '/a', '/a', '/a', '/a', '/b']);
  const healthy = await eventually(
    () => webhooks.find(id),
    (webhook) => webhook?.failures === 0,
  );
  assert.deepEqual([healthy?.failingSinceMs, healthy?.reason], [null, null]);
});

test('after a restart a webhook goes on where it was, with what happened meanwhile', async (t) => {
  await using receiver = await openReceiver();
  const folder = await temporaryFolder(t);
  const options: Options = { hosts: [receiver.origin] };
  {
    await using running = await run(folder, options);
    await running.add(receiver.origin);
    await done(running.store.metadata, alice, [mkdir('/a')]);
    await receiver.requests(1);
    receiver.answer = () => undefined; // the next is under way when the server is stopped
    await done(running.store.metadata, alice, [mkdir('/b')]);
    await receiver.requests(2);
  }
  {
    const store = await openServerStore({ kind: 'sqlite', file: join(folder, 'driftless.db') });
    const [webhook] = await store.webhooks.list(alice);
    assert.deepEqual([webhook?.failures, webhook?.dueAtMs], [0, 0], 'that it was stopped is no failure');
    await done(store.metadata, alice, [mkdir('/c')]);
    await store.close();
  }
  receiver.answer = (response) => void response.writeHead(204).end();
  await using running = await run(folder, options);
  await done(running.store.metadata, alice, [mkdir('/d')]);
  await receiver.until(told(5));
  assert.deepEqual(pathsOf(receiver.received), ['/a', '/b', '/b', '/c', '/d']);
});

test('a receiver that is gone ends its webhook, and so does failing for too long; the user is told', async (t) => {
  await using gone = await openReceiver();
  await using broken = await openReceiver();
  gone.answer = (response) => void response.writeHead(410).end();
  broken.answer = failing;
  await using running = await run(await temporaryFolder(t), { hosts: [gone.origin, broken.origin], times: { giveUpMs: 200 } });
  const { webhooks, metadata } = running.store;
  const first = await running.add(gone.origin, ['changed']);
  const second = await running.add(broken.origin, ['changed']);
  await done(metadata, alice, [mkdir('/a')]);
  const notices = await eventually(
    async () =>
      (await allChanges(metadata, alice)).flatMap(({ kind, details }) =>
        kind === 'webhook' && details?.state === 'failed' ? [details] : [],
      ),
    ({ length }) => length === 2,
  );
  assert.deepEqual(
    new Map(notices.map((details) => [details?.webhook, details?.reason])),
    new Map([
      [first.id, 'answered 410: gone'],
      [second.id, 'answered 500'],
    ]),
  );
  assert.deepEqual(
    (await webhooks.list(alice)).map(({ state }) => state),
    ['failed', 'failed'],
  );
  const [tries, goneTries] = [broken.received.length, gone.received.length];
  assert.ok(tries >= 2 && goneTries === 1);
  await done(metadata, alice, [mkdir('/b')]);
  running.delivery.refresh();
  await running.delivery.close();
  assert.deepEqual([broken.received.length, gone.received.length], [tries, 1]);
});

test('who has left a folder is sent nothing more of it, not even what was tried before', async (t) => {
  await using receiver = await openReceiver();
  receiver.answer = failing;
  await using running = await run(await temporaryFolder(t), { hosts: [receiver.origin] });
  const { metadata } = running.store;
  await done(metadata, alice, [mkdir('/team')]);
  await share(metadata, '/team');
  await running.add(receiver.origin, ['changed'], bob);
  await done(metadata, alice, [mkdir('/team/secret')]);
  await receiver.requests(2);
  assert.ok(pathsOf(receiver.received).every((path) => path === '/team/secret'));
  await metadata.uninvite(alice, { path: '/team', userId: bob.userId });
  const before = receiver.received.length + 1; // one may be under way
  await done(metadata, alice, [mkdir('/team/later')]);
  await done(metadata, bob, [mkdir('/own')]);
  await receiver.requests(before + 1);
  receiver.answer = (response) => void response.writeHead(204).end();
  await done(metadata, bob, [mkdir('/end')]);
  await receiver.until((received) => pathsOf(received).includes('/end'));
  const after = pathsOf(receiver.received.slice(before));
  assert.ok(after.includes('/own'));
  assert.deepEqual(
    after.filter((path) => path.startsWith('/team/')),
    [],
  );
});

test('a disabled account is sent nothing', async (t) => {
  await using receiver = await openReceiver();
  const disabled = new Set([alice.userId]);
  await using running = await run(await temporaryFolder(t), { hosts: [receiver.origin], disabled });
  const { webhooks, metadata } = running.store;
  const { id } = await running.add(receiver.origin);
  await done(metadata, alice, [mkdir('/a')]);
  const waiting = await eventually(
    () => webhooks.find(id),
    (webhook) => (webhook?.failures ?? 0) > 2,
  );
  assert.equal(waiting?.reason, 'the account is disabled');
  assert.equal(receiver.received.length, 0);
  disabled.clear();
  await receiver.requests(1);
  assert.deepEqual(pathsOf(receiver.received), ['/a']);
});

test('a redirect is not followed, a slow answer is waited for only so long, and a long one is cut off', async (t) => {
  await using target = await openReceiver();
  await using receiver = await openReceiver();
  const answers: WebhookReceiver['answer'][] = [
    (response) => void response.writeHead(307, { location: target.origin }).end(),
    () => undefined,
    (response) => {
      response.writeHead(200);
      const more = (): void => void (response.destroyed || response.write('x'.repeat(65_536), () => setImmediate(more)));
      more();
    },
  ];
  receiver.answer = (response, n) => answers[n - 1]?.(response, n);
  const reasons: string[] = [];
  await using running = await run(await temporaryFolder(t), {
    hosts: [receiver.origin, target.origin],
    timeoutMs: 1500,
    onOutcome: (outcome) => void reasons.push(outcome.kind === 'failed' ? outcome.reason : outcome.kind),
  });
  await running.add(receiver.origin);
  await done(running.store.metadata, alice, [mkdir('/a')]);
  await eventually(
    async () => reasons,
    ({ length }) => length === 3,
  );
  assert.deepEqual(reasons, ['answered 307', 'no answer in time', 'taken']);
  assert.equal(target.received.length, 0);
});

test('a name that leads to an address that is not public is not connected to, whatever it led to before', async (t) => {
  await using receiver = await openReceiver();
  const { port } = new URL(receiver.origin);
  const reasons: string[] = [];
  let asked = 0;
  await using running = await run(await temporaryFolder(t), {
    hosts: [`http://hooks.example.org:${port}`],
    resolve: async () => {
      asked += 1;
      return asked % 2 === 1
        ? [{ address: '127.0.0.1', family: 4 }]
        : [
            { address: '2606:4700::1', family: 6 },
            { address: '::ffff:127.0.0.1', family: 6 },
          ];
    },
    onOutcome: (outcome) => void reasons.push(outcome.kind === 'failed' ? outcome.reason : outcome.kind),
  });
  await running.add(`http://hooks.example.org:${port}/`);
  await done(running.store.metadata, alice, [mkdir('/a')]);
  await eventually(
    async () => reasons,
    ({ length }) => length >= 4,
  );
  assert.deepEqual(new Set(reasons), new Set(['the address is not allowed']));
  assert.equal(receiver.received.length, 0);
  assert.ok(asked >= 4, 'it is looked up for each request');
});

test('what an administrator does not allow any more is sent nothing, and localhost leads to this host alone', async (t) => {
  await using receiver = await openReceiver();
  const { port } = new URL(receiver.origin);
  const reasons: string[] = [];
  let address = '10.0.0.1';
  await using running = await run(await temporaryFolder(t), {
    hosts: [`http://localhost:${port}`],
    resolve: async () => [{ address, family: 4 }],
    onOutcome: (outcome) => void reasons.push(outcome.kind === 'failed' ? outcome.reason : outcome.kind),
  });
  const byAddress = await running.add(receiver.origin);
  await done(running.store.metadata, alice, [mkdir('/a')]);
  await eventually(
    async () => reasons,
    ({ length }) => length >= 2,
  );
  await running.store.webhooks.remove(alice, byAddress.id);
  await running.add(`http://localhost:${port}`);
  await done(running.store.metadata, alice, [mkdir('/b')]);
  await eventually(
    () => running.store.webhooks.list(alice),
    ([webhook]) => (webhook?.failures ?? 0) >= 2,
  );
  assert.deepEqual(new Set(reasons), new Set(['the address is not allowed']));
  assert.equal(receiver.received.length, 0);
  address = '127.0.0.1';
  await receiver.requests(1);
  assert.deepEqual(pathsOf(receiver.received), ['/b']);
});
