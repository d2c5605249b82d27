import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEvent } from '../Storage/audit.ts';
import { bringStraysHome } from './strays.ts';

test('what was moved is in the audit record and the log, by its id and no name; a failure is told and keeps nobody waiting', async () => {
  const audited: AuditEvent[] = [];
  const logged: string[] = [];
  const note = (told: unknown): void => void logged.push(JSON.stringify(told));
  const told = { audit: { record: (event: AuditEvent) => void audited.push(event) }, log: { warn: note, error: note } };
  await bringStraysHome({ ...told, takeStraysHome: async () => [{ nodeId: 7, ownerId: 'u1', ownerName: 'alice' }] });
  assert.deepEqual(audited, [{ what: 'entry_moved', result: 'ok', userId: 'u1', userName: 'alice', detail: '@7' }]);
  const takeStraysHome = () => Promise.reject(new Error('the disk is full'));
  await bringStraysHome({ ...told, takeStraysHome });
  assert.deepEqual([logged.length, logged[0]], [2, '{"node":7,"user":"u1"}']);
});
