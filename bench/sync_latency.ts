import { randomBytes } from 'node:crypto';
import { existsSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './measure.ts';
import { figureRow, type Row } from './report.ts';

const FILE_BYTES = 4096;
const P50_MS_MAX = 50;
const P99_MS_MAX = 200;
const SAVES = 200;
const PEER_SAVES = 12; // each takes a second
const PAUSE_MS = { least: 100, more: 200 };
const ARRIVAL_MS_MAX = 30_000;

type Places = { readonly from: string; readonly to: string };

/** How long a file that is saved on one device takes until its name is there on the other one. */
export async function measureLatency(ours: Places, peer: Places | null, scale: number): Promise<Row> {
  const saves = Math.max(20, Math.round(SAVES * scale));
  await saveAll(ours, 20); // compiled and warm
  const times = await saveAll(ours, saves);
  const peerTimes = peer === null ? [] : await saveAll(peer, Math.max(4, Math.round(PEER_SAVES * scale)));
  const p50 = percentile(times, 0.5);
  const p99 = percentile(times, 0.99);
  return figureRow({
    name: 'sync-latency',
    target: `p50 ≤ ${P50_MS_MAX} ms, p99 ≤ ${P99_MS_MAX} ms`,
    ours: `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, most ${Math.max(...times).toFixed(0)} ms (${saves} saves)`,
    peer: peer === null ? 'Syncthing not installed' : `Syncthing p50 ${percentile(peerTimes, 0.5).toFixed(0)} ms`,
    met: p50 <= P50_MS_MAX && p99 <= P99_MS_MAX,
  });
}

/** @returns ms of each save */
async function saveAll({ from, to }: Places, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    await sleep(PAUSE_MS.least + Math.random() * PAUSE_MS.more);
    const name = `save-${process.hrtime.bigint()}.txt`;
    const arrived = whenNamed(to, name);
    const content = randomBytes(FILE_BYTES);
    const start = performance.now();
    writeFileSync(join(from, name), content);
    times.push((await arrived) - start);
  }
  return times;
}

/** Watched rather than asked for: on a small machine asking often enough takes time from those who are measured. @returns when, ms */
function whenNamed(folder: string, name: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const watcher = watch(folder, (_, changed) => {
    if (changed === name && existsSync(join(folder, name))) resolve(performance.now());
  });
  const timer = setTimeout(() => reject(new Error(`${name} did not arrive`)), ARRIVAL_MS_MAX);
  return promise.finally(() => {
    clearTimeout(timer);
    watcher.close();
  });
}
