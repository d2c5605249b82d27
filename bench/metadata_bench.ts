import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LIMITS } from '../Models/limits.ts';
import type { Operation } from '../Models/operations.ts';
import type { Metadata, Principal, StoredChunk } from '../Storage/metadata.ts';
import { openSqlMetadata } from '../Storage/sql_metadata.ts';

const USAGE = `node bench/metadata_bench.ts [--files N] [--postgres URL]

Puts N files of one chunk (1000000), a thousand to a folder, in batches of ${LIMITS.batchOperationsMax}; then opens, lists, searches and moves.
Times are by the clock and, because machines are shared, by the processor time of this process.`;

const who: Principal = { userId: 'a'.repeat(32), userName: 'bench', deviceId: 'b'.repeat(32) };
const FILES_PER_FOLDER = 1000;

type Batch = { readonly operations: Operation[]; readonly chunks: StoredChunk[] };

function batchFrom(first: number, count: number): Batch {
  const chunks: StoredChunk[] = [];
  const operations: Operation[] = [];
  for (let i = first; i < first + count; i += 1) {
    const digest = createHash('sha256').update(`file ${i}`).digest();
    const pack = Math.floor(i / 60_000)
      .toString(16)
      .padStart(32, '0');
    chunks.push({ digest, location: { pack, offset: (i % 60_000) * 1100, length: 1024 } });
    const path = `/bench/folder-${Math.floor(i / FILES_PER_FOLDER)}/file-${i}.txt`;
    const refs = [{ digest, length: 1024 }];
    operations.push({ kind: 'put', path, size: 1024, mtimeUs: 1.7e15 + i, mode: 0o644, base: 'absent', digest, chunks: refs });
  }
  return { operations, chunks };
}

type Time = { readonly wallMs: number; readonly cpuMs: number };

async function timed(run: () => Promise<void>): Promise<Time> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  await run();
  const used = process.cpuUsage(cpu);
  return { wallMs: performance.now() - begun, cpuMs: (used.user + used.system) / 1000 };
}

const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

function report(what: string, { wallMs, cpuMs }: Time, per?: { count: number; unit: string }): void {
  const each = per === undefined ? '' : `, ${((cpuMs * 1000) / per.count).toFixed(2)} µs processor per ${per.unit}`;
  console.log(`${what}: ${wallMs.toFixed(0)} ms (${cpuMs.toFixed(0)} ms processor${each}), resident ${mib(process.memoryUsage.rss())}`);
}

async function fill(store: Metadata, files: number): Promise<void> {
  let since: Time = { wallMs: 0, cpuMs: 0 };
  const step = Math.max(Math.floor(files / 10 / LIMITS.batchOperationsMax), 1) * LIMITS.batchOperationsMax;
  for (let first = 0; first < files; first += LIMITS.batchOperationsMax) {
    const { operations, chunks } = batchFrom(first, Math.min(LIMITS.batchOperationsMax, files - first));
    const { wallMs, cpuMs } = await timed(async () => {
      const stream = { id: Buffer.alloc(16, 1), firstOperation: first, resumed: false };
      const results = await store.commit(who, stream, chunks, operations);
      if (results.some((result) => result.status !== 'done')) throw new Error('a put was not done');
    });
    since = { wallMs: since.wallMs + wallMs, cpuMs: since.cpuMs + cpuMs };
    if ((first + LIMITS.batchOperationsMax) % step !== 0) continue;
    report(`put up to file ${first + operations.length}`, since, { count: step, unit: 'file' });
    since = { wallMs: 0, cpuMs: 0 };
  }
}

async function readBack(store: Metadata, files: number): Promise<void> {
  const folders: string[] = [];
  let entries = 0;
  const walked = await timed(async () => {
    for await (const page of store.walkFolders(who, '/')) folders.push(...page);
  });
  report(`walk ${folders.length} folders`, walked);
  const listed = await timed(async () => {
    for await (const page of store.readFolders(who, folders)) entries += page.entries.length;
  });
  report(`list ${entries} entries`, listed, { count: entries, unit: 'entry' });
  const page = { path: '/', search: `file-${files - 1}`, sort: 'name', descending: false, after: null, limit: 100 } as const;
  report('search the whole tree for part of a name', await timed(async () => void (await store.page(who, page))));
  const move: Operation = { kind: 'move', from: '/bench', to: '/moved', base: 'any' };
  report(
    'move the folder that holds them all',
    await timed(async () => void (await store.commit(who, { id: Buffer.alloc(16), firstOperation: 0, resumed: false }, [], [move]))),
  );
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { files: { type: 'string', default: '1000000' }, postgres: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  const files = Number(values.files);
  if (values.help || !Number.isInteger(files) || files < 1) {
    console.error(USAGE);
    return 2;
  }
  const folder = await mkdtemp(join(tmpdir(), 'driftless-metadata-bench-'));
  const file = join(folder, 'driftless.db');
  const open = (): Promise<Metadata> =>
    openSqlMetadata(values.postgres === undefined ? { kind: 'sqlite', file } : { kind: 'postgres', url: values.postgres });
  let store = await open();
  try {
    await fill(store, files);
    await store.close();
    const opened = await timed(async () => {
      store = await open();
      await store.ping();
    });
    report(`open with ${files} files`, opened);
    await readBack(store, files);
    if (values.postgres === undefined) console.log(`database ${mib((await stat(file)).size)}`);
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
  return 0;
}

process.exitCode = await main();
