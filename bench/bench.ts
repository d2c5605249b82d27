import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureEvents } from './events_bench.ts';
import { loginRow } from './login_bench.ts';
import { measureRelay } from './relay_bench.ts';
import { type Comparison, figureRow, type Row, rowOf, tableOf } from './report.ts';
import { measureRestart } from './restart.ts';
import { measureSearch } from './search_bench.ts';
import { measureSync, ONLY_WHEN_NAMED, SYNC_CASES } from './sync_bench.ts';
import { measureTicketCheck } from './ticket_bench.ts';
import { measureTransfers, type TransferCase } from './transfer.ts';

const TRANSFER_CASES: readonly TransferCase[] = ['small', 'many', 'same', 'big', 'insert'];
const CASES: readonly string[] = [...TRANSFER_CASES, 'login', 'ticket', 'restart', 'search', 'events', 'relay', ...SYNC_CASES];
const TICKET_US_MAX = 20;
const USAGE = `npm run bench -- [CASE...] [--runs N] [--scale FRACTION] [--seed TEXT]

Cases: ${CASES.join(', ')} (when none is named, all but ${ONLY_WHEN_NAMED})
--runs   how often each side runs; the median of the ratios is reported (5)
--scale  fraction of the files or bytes, for a trial (1)
--seed   what the random data is made from (driftless)`;

function readArguments(): { cases: ReadonlySet<string>; runs: number; scale: number; seed: string } | null {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      seed: { type: 'string', default: 'driftless' },
      help: { type: 'boolean', default: false },
    },
  });
  const runs = Number(values.runs);
  const scale = Number(values.scale);
  const known = positionals.every((name) => CASES.includes(name));
  if (values.help || !known || !Number.isInteger(runs) || runs < 1 || !(scale > 0 && scale <= 1)) return null;
  return {
    cases: new Set(positionals.length > 0 ? positionals : CASES.filter((name) => name !== ONLY_WHEN_NAMED)),
    runs,
    scale,
    seed: values.seed,
  };
}

async function main(): Promise<number> {
  const wanted = readArguments();
  if (wanted === null) {
    console.error(USAGE);
    return 2;
  }
  process.once('SIGINT', () => undefined); // ends the program being measured, and so this, after cleaning up
  const folder = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
  const rows: Row[] = [];
  const comparisons: Comparison[] = [];
  const show = (measured: Row): void => {
    const row = wanted.scale === 1 ? measured : { ...measured, met: null }; // a trial proves nothing
    rows.push(row);
    console.error(
      `${row.name}: ${row.ours} ${row.peer === '' ? '' : `| ${row.peer} ${row.ratio === '' ? '' : `| ratio ${row.ratio}`}`} | ${row.wire}`,
    );
  };
  try {
    const cases = new Set(TRANSFER_CASES.filter((name) => wanted.cases.has(name)));
    for await (const comparison of measureTransfers({ ...wanted, cases, folder })) {
      comparisons.push(comparison);
      show(rowOf(comparison));
    }
    if (wanted.cases.has('login')) show(await loginRow(wanted.scale));
    if (wanted.cases.has('ticket')) show(await ticketRow());
    if (wanted.cases.has('restart')) show(await measureRestart({ ...wanted, folder }));
    if (wanted.cases.has('search')) show(await measureSearch({ ...wanted, folder }));
    if (wanted.cases.has('events')) for await (const row of measureEvents({ ...wanted, folder })) show(row);
    if (wanted.cases.has('relay')) {
      const comparison = await measureRelay({ ...wanted, folder });
      comparisons.push(comparison);
      show(rowOf(comparison));
    }
    for await (const { row, comparison } of measureSync({ ...wanted, folder })) {
      if (comparison !== null) comparisons.push(comparison);
      show(row);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  console.log(tableOf(rows));
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryBytes: totalmem(), node: process.version };
  await writeResult({ at: new Date().toISOString(), machine, ...wanted, cases: [...wanted.cases], rows, comparisons });
  return rows.some((row) => row.met === false) ? 1 : 0;
}

async function ticketRow(): Promise<Row> {
  const { firstUs, seenUs } = await measureTicketCheck();
  const ours = `${seenUs.toFixed(1)} µs (${firstUs.toFixed(0)} µs when new)`;
  return figureRow({ name: 'ticket check', target: `≤ ${TICKET_US_MAX} µs once seen`, ours, met: seenUs <= TICKET_US_MAX });
}

async function writeResult(result: { at: string } & Record<string, unknown>): Promise<void> {
  const results = new URL('results/', import.meta.url);
  await mkdir(results, { recursive: true });
  await writeFile(new URL(`${result.at.replaceAll(':', '-')}.json`, results), `${JSON.stringify(result, null, 2)}\n`);
}

process.exitCode = await main();
