import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { ROUTES } from '../Models/routes.ts';
import { ticketKeysPath } from './config.ts';
import { openServer } from './testing/server_fixture.ts';
import { keySet, makeSigningKey, mintTicket } from './testing/ticket_mint.ts';
import { TicketKeys } from './tickets.ts';

test('anybody can check a ticket with the keys that are served, in which nothing is secret', async () => {
  await using server = await openServer();
  const answer = await server.ask(null, { method: 'GET', url: ROUTES.ticketKeys });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['cache-control'], 'public, max-age=30');
  const { keys } = answer.json() as { keys: Record<string, string>[] };
  assert.deepEqual(
    keys.map((key) => Object.keys(key).sort()),
    [['alg', 'crv', 'kid', 'kty', 'use', 'x']],
  );
  const { payload } = await jwtVerify(await mintTicket(server.key, Date.now()), createLocalJWKSet(answer.json()));
  assert.equal(payload.name, 'alice');
});

test('what is served is what tickets are checked with, also when a private key got into the file', async () => {
  await using server = await openServer();
  const path = ticketKeysPath(server.folder);
  const [one, other] = [makeSigningKey(), makeSigningKey()];
  const set = JSON.parse(await keySet([one, other]));
  set.keys[0].d = one.privateKey.export({ format: 'jwk' }).d;
  await writeFile(path, JSON.stringify(set));
  const keys = new TicketKeys(path, Date.now);
  await keys.refresh();
  assert.deepEqual(
    keys.published.map(({ kid }) => kid),
    [one.kid, other.kid],
  );
  assert.ok(!JSON.stringify(keys.published).includes(set.keys[0].d));
  await writeFile(path, await keySet([other]));
  await keys.refresh();
  assert.deepEqual(
    keys.published.map(({ kid }) => kid),
    [other.kid],
  );
});
