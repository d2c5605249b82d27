import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { client, ready, server } from '@serenity-kit/opaque';
import { shareOfThread } from '../Models/testing/processor_time.ts';
import { createOpaqueServer } from './opaque_server.ts';
import { openOpaqueThreads } from './opaque_threads.ts';

before(() => ready);

const password = 'correct horse battery';
const keyStretching = { 'argon2id-custom': { iterations: 1, memory: 64, parallelism: 1 } };
const bytes64 = (text: string): Uint8Array => Buffer.from(text, 'base64url');
const text64 = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('base64url');

for (const [kind, open] of [
  ['in this thread', (setup: string) => ({ opaque: createOpaqueServer(setup), close: async () => undefined })],
  [
    'in threads',
    (setup: string) => {
      const opaque = openOpaqueThreads(setup, 2);
      return { opaque, close: opaque.close };
    },
  ],
] as const) {
  test(`OPAQUE ${kind}: a registration, a login with it, and nothing for what is not valid`, async (t) => {
    const { opaque, close } = open(server.createSetup());
    t.after(close);
    const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
    const response = await opaque.register({ request: bytes64(registrationRequest), user: 'ALICE' });
    const registered = { password, clientRegistrationState, registrationResponse: text64(response), keyStretching };
    const record = bytes64(client.finishRegistration(registered).registrationRecord);
    const { clientLoginState, startLoginRequest } = client.startLogin({ password });
    const started = await opaque.startLogin({ record, ke1: bytes64(startLoginRequest), user: 'ALICE' });
    const done = client.finishLogin({ password, clientLoginState, loginResponse: text64(started?.ke2), keyStretching });
    assert.ok(started !== null && done !== undefined);
    const ke3 = bytes64(done.finishLoginRequest);
    assert.equal(text64(await opaque.finishLogin({ state: started.state, ke3 })), done.sessionKey);
    const wrong = Uint8Array.from(ke3);
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    assert.equal(await opaque.finishLogin({ state: started.state, ke3: wrong }), null);
    for (const invalid of [0, 255].map((value) => new Uint8Array(96).fill(value))) {
      assert.equal(await opaque.startLogin({ record, ke1: invalid, user: 'ALICE' }), null);
      assert.equal(await opaque.register({ request: invalid.subarray(0, 32), user: 'ALICE' }), null);
    }
  });
}

test('while many logins are worked on the loop goes on; a thread that dies is replaced', async (t) => {
  const opaque = openOpaqueThreads(server.createSetup(), 1);
  t.after(opaque.close);
  const input = { record: new Uint8Array(192), ke1: bytes64(client.startLogin({ password }).startLoginRequest), user: 'ALICE' };
  assert.equal(await opaque.startLogin(input), null); // that record is none: the thread is there
  const { registrationRequest } = client.startRegistration({ password });
  const asked = { request: bytes64(registrationRequest), user: 'ALICE' };
  const share = await shareOfThread(() => Promise.all(Array.from({ length: 1000 }, () => opaque.register(asked))));
  t.diagnostic(`${(100 * share).toFixed(0)} % of the work is done where the loop is`);
  assert.ok(share < 0.5);
  await assert.rejects(opaque.register(undefined as never), /has ended/);
  await t.waitFor(async () => assert.ok(await opaque.register(asked)), { timeout: 10_000 });
});
