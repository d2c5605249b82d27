import assert from 'node:assert/strict';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import type { AuditResult } from '../Models/audit.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Audit } from './audit.ts';
import { type AuditOptions, openAudit } from './audit_sql.ts';
import type { DatabaseAddress } from './database.ts';
import { auditContract, type OpenAudit } from './testing/audit_contract.ts';
import { newDatabases, sqliteAddress } from './testing/databases.ts';

function opener(t: TestContext, address: DatabaseAddress): OpenAudit {
  return async (options: Partial<AuditOptions> = {}): Promise<Audit> => {
    const audit = await openAudit(address, { process: 'auth', ...options });
    t.after(() => audit.close());
    return audit;
  };
}

for (const [kind, addressFor] of newDatabases()) {
  auditContract(kind, async (t) => opener(t, await addressFor(t)));

  test(`${kind}: what is too old goes, once enough was done since; a clock that is ahead for a while takes nothing along`, async (t) => {
    const open = opener(t, await addressFor(t));
    let nowMs = Date.UTC(2026, 0, 1);
    const act = async (from: number, upTo: number, result: AuditResult = 'ok'): Promise<string[]> => {
      const audit = await open({ now: () => nowMs }); // each looks once when it begins
      for (let n = from; n < upTo; n += 1) audit.record({ what: 'login', result, userId: `${n}`, address: `10.0.${n}.1` });
      await audit.flush();
      const { entries } = await audit.page({ limit: LIMITS.auditPageMax });
      return entries.map(({ userId }) => userId ?? '');
    };
    const most = LIMITS.auditTimeRows;
    await act(0, 1);
    nowMs += LIMITS.auditKeptMs + 60_001;
    assert.ok((await act(1, most)).includes('0'));
    assert.ok((await act(0, 2 * most, 'credentials_wrong')).includes('0')); // whoever is refused makes nothing old
    const right = nowMs;
    nowMs += 10 * LIMITS.auditKeptMs;
    assert.ok((await act(most, most + 1)).includes('1'));
    nowMs = right;
    const left = await act(most + 1, most + 2);
    assert.deepEqual([left.length, left.at(-1)], [3 * most + 1, '1']);
  });
}

test('of what is too old no more goes than came, however often a process starts', async (t) => {
  const address = await sqliteAddress(t);
  assert.ok(address.kind === 'sqlite');
  const now = Date.UTC(2026, 0, 1);
  const open = (): Promise<Audit> => opener(t, address)({ now: () => now });
  await (await open()).close();
  const raw = new DatabaseSync(address.file);
  const [old, rows, most] = [now - LIMITS.auditKeptMs - 60_000, 5000, LIMITS.auditTimeRows];
  raw.exec(`WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ${rows})
    INSERT INTO audit SELECT v, 'auth', 'login', 'ok', NULL, NULL, NULL, NULL, NULL, NULL, ${old}, ${old}, 1, 0 FROM n;
    UPDATE audit_counter SET value = ${rows}`);
  const gone = (): unknown => raw.prepare('SELECT min(number) - 1 AS gone FROM audit').get()?.gone;
  let audit = await open();
  const log = async (from: number, upTo: number): Promise<void> => {
    for (let n = from; n < upTo; n += 1) audit.record({ what: 'login', result: 'ok', userId: `${n}` });
    await audit.flush();
  };
  await log(0, most);
  assert.equal(gone(), most);
  for (let n = 1; n <= 3; n += 1) {
    await audit.close();
    audit = await open();
    await log(most, most + 1);
    assert.equal(gone(), most + n);
  }
  await log(most, most + 1); // one more of the same is no row more
  await log(most + 1, most + 7);
  await audit.close();
  assert.equal(gone(), most + 3 + 6); // for what came since it began, a process looks when it ends
  raw.close();
});

test('a flood of refusals drives out refusals alone', async (t) => {
  const address = await sqliteAddress(t);
  assert.ok(address.kind === 'sqlite');
  const open = opener(t, address);
  const first = await open();
  first.record({ what: 'login', result: 'ok', userId: 'alice' });
  await first.close();
  const raw = new DatabaseSync(address.file);
  const most = LIMITS.auditRefusedRowsMax;
  raw.exec(`WITH RECURSIVE n(v) AS (SELECT 2 UNION ALL SELECT v + 1 FROM n WHERE v < ${most + 50})
    INSERT INTO audit SELECT v, 'auth', 'login', 'credentials_wrong', NULL, NULL, NULL, NULL, NULL, NULL, ${Date.now()}, ${Date.now()}, 1, 1 FROM n;
    UPDATE audit_counter SET value = ${most + 50}`);
  raw.close();
  const second = await open();
  second.record({ what: 'login', result: 'credentials_wrong', address: '10.0.0.1' });
  await second.flush();
  const { entries } = await second.page({ user: 'alice', limit: 10 });
  assert.equal(entries.length, 1);
  const counted = new DatabaseSync(address.file, { readOnly: true });
  assert.deepEqual(counted.prepare('SELECT min(number) AS first, count(*) AS rows FROM audit WHERE refused = 1').get(), {
    __proto__: null,
    first: 52,
    rows: most,
  });
  counted.close();
});

test('a record that cannot be written stops nobody; it is written when it can be, and says what did not fit', async (t) => {
  const address = await sqliteAddress(t);
  assert.ok(address.kind === 'sqlite');
  const open = opener(t, address);
  let failures = 0;
  const audit = await open({ onFailure: () => (failures += 1) });
  const blocker = new DatabaseSync(address.file);
  blocker.exec('BEGIN IMMEDIATE'); // another process stands still while it writes
  const kinds = ['login', 'logout', 'renewal', 'ticket'] as const;
  const events = LIMITS.auditUnwrittenMax + 100;
  for (let n = 0; n < events; n += 1) audit.record({ what: kinds[n % 4] ?? 'login', result: 'ok', userId: `${n}` });
  await audit.flush();
  assert.equal(failures, 1);
  blocker.exec('ROLLBACK');
  blocker.close();
  await audit.flush();
  let counted = 0;
  let lost = 0;
  for (let after: number | undefined; ; ) {
    const { entries, next } = await audit.page({ limit: LIMITS.auditPageMax, after });
    for (const { what, count } of entries) {
      counted += count;
      if (what === 'audit_lost') lost += count;
    }
    if (next === null) break;
    after = next;
  }
  assert.equal(counted, events);
  assert.ok(lost > 0);
});

test('a damaged file is no record', async (t) => {
  const address = await sqliteAddress(t);
  assert.ok(address.kind === 'sqlite');
  await writeFile(address.file, 'no database at all, but long enough to be looked at as one'.repeat(100));
  await chmod(address.file, 0o600);
  await assert.rejects(openAudit(address, { process: 'auth' }), { code: 'corrupt' });
  assert.ok((await readFile(address.file, 'utf8')).startsWith('no database'));
  await rm(address.file);
});
