import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditEvent } from '../audit.ts';
import { createAuditRows } from '../audit_rows.ts';

const folder = process.env.DRIFTLESS_KEEP_LOGS;

/** Whether what is written in tests is searched at their end, see system_tests/searched.ts. */
export const isKept = (): boolean => folder !== undefined;

/** What a fixture logged, and what the audit record would have of it, outlive it for that search. */
export async function keepWritings(name: string, logged: readonly string[], audited: readonly AuditEvent[]): Promise<void> {
  if (folder === undefined) return;
  const { rowFor } = createAuditRows(Date.now);
  const rows = audited.map((event) => `${JSON.stringify(rowFor(event))}\n`);
  await writeFile(join(folder, `${randomUUID()}-${name}`), [...logged, ...rows].join(''));
}
