import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import { openReceiver } from '../testing/webhook_receiver.ts';
import { allowedWebhookHosts, resolveName } from '../webhook_addresses.ts';
import { openWebhookSender, type SenderDeps } from './webhook_sender.ts';

test('what sends is loaded at the start if there is somewhere to send to; that files cannot be opened for a while ends nothing', async () => {
  let isBroken = true;
  const hooks = registerHooks({
    load(url, context, next) {
      if (isBroken && url.includes('/undici/')) throw new Error('no file descriptor is left');
      return next(url, context);
    },
  });
  await using receiver = await openReceiver();
  const to = { url: receiver.origin, secret: 's' };
  const depsFor = (hosts: readonly string[]): SenderDeps => ({
    hosts: allowedWebhookHosts(hosts),
    resolve: resolveName,
    timeoutMs: 10_000,
    now: Date.now,
  });
  const none = await openWebhookSender(depsFor([]));
  assert.deepEqual(await none.send(to, '{}'), { kind: 'failed', reason: 'the address is not allowed' });
  await none.close();
  isBroken = false;
  const sender = await openWebhookSender(depsFor([receiver.origin]));
  isBroken = true;
  assert.equal((await sender.send(to, '{}')).kind, 'failed'); // undici loads its parser with the first connection, and tries that again
  isBroken = false;
  assert.deepEqual(await sender.send(to, '{}'), { kind: 'taken' });
  await sender.close();
  hooks.deregister();
});
