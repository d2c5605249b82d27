import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { openFlooded } from './flooding.ts';

/** The short form of `npm run test:flood`, which also looks at memory and at the file server. */
test('HELLOs without a cookie cost no curve operation, and logins from elsewhere go on; a flood with cookies holds up nobody', async (t) => {
  const folder = await temporaryFolder(t);
  const flooded = await openFlooded(folder);
  t.after(() => flooded.close());
  const before = await flooded.state();
  assert.equal((await flooded.receiveForged(10_000, 5)).admitted, before.admitted);
  const { result, answered } = await flooded.flood({ count: 10_000, perSecond: 10_000 }, () => flooded.logins(10));
  assert.equal(result.succeeded, 10);
  assert.ok(answered > 1000);
  const after = await flooded.state();
  const inLogins = 10 * 3; // HELLO, FINISH, ACK
  assert.ok(after.admitted - before.admitted <= inLogins, `${after.admitted - before.admitted} datagrams were worked on`);
  const { challenged, result: held } = await flooded.floodWithCookies(20, () => flooded.logins(10));
  assert.equal(held.succeeded, 10);
  t.diagnostic(`${challenged} of the flood were answered; logins took ${held.p50Ms.toFixed(0)} ms, at most ${held.p99Ms.toFixed(0)}`);
});
