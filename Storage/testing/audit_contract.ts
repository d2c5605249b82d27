import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { OwnTime } from '../../Models/testing/processor_time.ts';
import type { Audit, AuditEntry, AuditEvent } from '../audit.ts';
import type { AuditOptions } from '../audit_sql.ts';

const ALICE = 'a'.repeat(32);
const NOON = Date.UTC(2026, 5, 1, 12);
const { each, ok, refused } = LIMITS.auditRowsPerMinute;

/** Gives the same empty record each time within one test, closed with it. */
export type OpenAudit = (options?: Partial<AuditOptions>) => Promise<Audit>;

async function all(audit: Audit): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (let after: number | undefined; ; ) {
    const page = await audit.page({ limit: LIMITS.auditPageMax, after });
    entries.push(...page.entries);
    if (page.next === null) return entries;
    after = page.next;
  }
}

/** What every implementation of Audit must do. */
export function auditContract(kind: string, opener: (t: TestContext) => Promise<OpenAudit>): void {
  const contract = (name: string, body: (open: OpenAudit) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await opener(t)));
  };

  contract('what is recorded is read back as it was told, the newest first, and by a process that opens it later', async (open) => {
    const audit = await open({ now: () => NOON });
    const login: AuditEvent = {
      what: 'login',
      result: 'ok',
      userId: ALICE,
      userName: 'straße',
      deviceId: 'd'.repeat(32),
      address: '::ffff:10.0.0.1',
    };
    audit.record(login);
    audit.record({ what: 'login', result: 'credentials_wrong', userId: ALICE, address: '10.0.0.2' });
    audit.record({ what: 'role_changed', result: 'ok', userName: 'bob', by: 'straße', detail: 'admin' });
    await audit.flush();
    const none = { userId: null, userName: null, deviceId: null, by: null, address: null, detail: null };
    const times = { firstAtMs: NOON, lastAtMs: NOON, count: 1 };
    const expected = [
      { number: 3, process: 'auth', ...none, what: 'role_changed', result: 'ok', userName: 'bob', by: 'straße', detail: 'admin', ...times },
      { number: 2, process: 'auth', ...none, what: 'login', result: 'credentials_wrong', userId: ALICE, address: '10.0.0.2', ...times },
      { number: 1, process: 'auth', ...none, ...login, address: '10.0.0.1', ...times },
    ];
    assert.deepEqual(await audit.page({ limit: 10 }), { entries: expected, next: null });
    assert.deepEqual(await all(await open()), expected);
  });

  contract('it is durable soon without being asked to', async (open) => {
    const audit = await open();
    const reader = await open();
    using time = new OwnTime();
    audit.record({ what: 'logout', result: 'ok', userId: ALICE });
    while ((await reader.page({ limit: 1 })).entries.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(time.ms < 50 * LIMITS.auditGatherMs, `${time.ms} ms`);
  });

  contract('pages follow each other without a gap, also while more is recorded, and by user, kind and time', async (open) => {
    let nowMs = NOON;
    const audit = await open({ now: () => nowMs });
    for (let n = 0; n < 9; n += 1) {
      audit.record({ what: n % 2 === 0 ? 'login' : 'logout', result: 'ok', userId: `${n % 3}`, userName: `u${n % 3}`, detail: `${n}` });
      nowMs += 1000;
    }
    audit.record({ what: 'login', result: 'credentials_wrong', userId: '1', detail: 'guess' });
    audit.record({ what: 'role_changed', result: 'ok', userId: '2', by: 'u1', detail: 'deed' });
    await audit.flush();
    const details = async (query: Partial<Parameters<Audit['page']>[0]>): Promise<(string | null)[]> => {
      const { entries } = await audit.page({ limit: 100, ...query });
      return entries.map(({ detail }) => detail);
    };
    const first = await audit.page({ limit: 4 });
    audit.record({ what: 'logout', result: 'ok', detail: 'later' });
    await audit.flush();
    assert.deepEqual(
      first.entries.map(({ detail }) => detail),
      ['deed', 'guess', '8', '7'],
    );
    assert.deepEqual(await details({ after: first.next ?? 0 }), ['6', '5', '4', '3', '2', '1', '0']);
    assert.deepEqual(await details({ user: '1' }), ['guess', '7', '4', '1']);
    assert.deepEqual(await details({ user: 'u1' }), ['deed', 'guess', '7', '4', '1']);
    assert.deepEqual(await details({ user: 'u1', what: 'logout' }), ['7', '1']);
    assert.deepEqual(await details({ since: NOON + 7000 }), ['later', 'deed', 'guess', '8', '7']);
    assert.deepEqual(await details({ user: 'nobody' }), []);
  });

  contract('the like of it within a minute is one row that counts, and what it says is not confused with another', async (open) => {
    let nowMs = NOON;
    const audit = await open({ now: () => nowMs });
    const guess: AuditEvent = { what: 'login', result: 'credentials_wrong', userId: ALICE };
    for (const address of ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1']) {
      audit.record({ ...guess, address });
      nowMs += 1000;
      await audit.flush();
    }
    audit.record({ ...guess, address: '2001:db8::3' });
    await audit.flush();
    nowMs += 60_000;
    audit.record({ ...guess, address: '2001:db8::1' });
    await audit.flush();
    const rows = (await all(audit)).map(({ address, count, firstAtMs, lastAtMs }) => [address, count, firstAtMs - NOON, lastAtMs - NOON]);
    assert.deepEqual(rows, [
      ['2001:db8::1', 1, 63_000, 63_000],
      ['2001:db8:0:1::1', 1, 2000, 2000],
      ['2001:db8::1', 3, 0, 3000],
    ]);
  });

  contract('what is recorded while its row is being written is counted in that row', async (open) => {
    const audit = await open({ now: () => NOON });
    const writing: Promise<unknown>[] = [];
    for (let n = 0; n < 10; n += 1) {
      audit.record({ what: 'logout', result: 'ok', userId: ALICE });
      writing.push(audit.flush());
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(writing);
    assert.deepEqual(
      (await all(audit)).map(({ number, count }) => [number, count]),
      [[1, 10]],
    );
  });

  contract('a flood from one source ends in one row, one from everywhere in few, and neither hides what succeeds', async (open) => {
    const audit = await open({ now: () => NOON });
    for (let n = 0; n < 1000; n += 1) audit.record({ what: 'login', result: 'credentials_wrong', userId: `${n}`, address: '10.0.0.1' });
    const events = 5000;
    for (let n = 0; n < events; n += 1) {
      audit.record({ what: 'ticket', result: 'ticket_invalid', address: `10.${n >> 8}.${n & 255}.1`, detail: `${n}` });
    }
    audit.record({ what: 'login', result: 'ok', userId: ALICE, userName: 'alice', address: '10.0.0.1' });
    await audit.flush();
    const rows = await all(audit);
    const guesses = rows.filter(({ what, result }) => what === 'login' && result !== 'ok');
    assert.equal(guesses.length, each + 1);
    assert.deepEqual(
      guesses.filter(({ userId }) => userId === null).map(({ count, address }) => [count, address]),
      [[1000 - each, '10.0.0.1']],
    );
    const tickets = rows.filter(({ what }) => what === 'ticket');
    assert.equal(rows.length - 1, 2 * refused + 1);
    assert.equal(
      tickets.reduce((sum, { count }) => sum + count, 0),
      events,
    );
    assert.equal(rows.filter(({ userName }) => userName === 'alice').length, 1);
    assert.ok(ok > refused);
  });

  contract('names are shown without what moves a cursor, whatever they are', async (open) => {
    const audit = await open();
    const hostile = '\u001b]0;owned\u0007\u001b[2J\0\r\n\u202e\ud800';
    audit.record({ what: 'device_renamed', result: 'ok', userName: hostile, by: hostile, address: hostile, detail: hostile.repeat(100) });
    await audit.flush();
    const [row] = await all(audit);
    for (const text of [row?.userName, row?.by, row?.address, row?.detail]) assert.match(text ?? '', /^[\x20-\x7e]+$/);
    assert.ok(row?.userName?.startsWith('\\x1b]0;owned\\x07'));
  });

  contract('several processes write at the same time, and every number is given once', async (open) => {
    const writers = await Promise.all(['auth', 'server', 'admin'].map((process) => open({ process: process as 'auth' })));
    for (let n = 0; n < 4; n += 1) {
      for (const writer of writers) writer.record({ what: 'logout', result: 'ok', userId: `${n}` });
      await Promise.all(writers.map((writer) => writer.flush()));
    }
    for (let left = 0; left < 12; ) {
      left = (await all(writers[0] as Audit)).length;
      if (left < 12) await Promise.all(writers.map((writer) => writer.flush()));
    }
    const rows = await all(writers[0] as Audit);
    assert.deepEqual(
      rows.map(({ number }) => number),
      Array.from({ length: 12 }, (_, index) => 12 - index),
    );
    for (const process of ['auth', 'server', 'admin']) assert.equal(rows.filter((row) => row.process === process).length, 4);
  });
}
