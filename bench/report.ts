import { type Cost, median } from './measure.ts';
import type { Comparison } from './transfer.ts';

export type Row = {
  readonly name: string;
  readonly target: string;
  readonly ours: string;
  readonly peer: string;
  readonly ratio: string;
  readonly wire: string;
  readonly memory: string;
  readonly met: boolean | null; // null: nothing to compare with
};

const MiB = 1024 * 1024;
const MEMORY_BYTES_MAX = 256 * MiB;

/** Ratios are taken run by run, between neighbours in time, because the machine's speed changes from minute to minute. */
export function rowOf({ name, ratioMax, wireBytesMax, ours, peer }: Comparison): Row {
  const ratios = ours.flatMap((cost, run) => (peer[run] === undefined ? [] : [cost.seconds / peer[run].seconds]));
  const ratio = ratios.length === 0 ? null : median(ratios);
  const wire = leastWire(ours);
  const client = Math.max(...ours.map((cost) => cost.clientRssBytes));
  const server = Math.max(...ours.map((cost) => cost.serverRssBytes ?? 0));
  const limitsMet = Math.max(client, server) <= MEMORY_BYTES_MAX && (wireBytesMax === null || wire <= wireBytesMax);
  return {
    name,
    target: `≤ ${ratioMax.toFixed(1)} × rsync${wireBytesMax === null ? '' : `, ≤ ${bytesText(wireBytesMax)}`}`,
    ours: secondsText(ours),
    peer: peer.length === 0 ? 'not installed' : secondsText(peer),
    ratio: ratio === null ? '' : `${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
    wire: bytesText(wire) + (peer.length === 0 ? '' : ` / ${bytesText(leastWire(peer))}`),
    memory: `${bytesText(client)} / ${bytesText(server)}`,
    met: ratio === null ? null : ratio <= ratioMax && limitsMet,
  };
}

/** A case that has no peer. */
export function figureRow(figure: Pick<Row, 'name' | 'target' | 'ours' | 'met'>): Row {
  return { peer: '', ratio: '', wire: '', memory: '', ...figure };
}

/** Other traffic on the loopback interface only adds. */
function leastWire(costs: readonly Cost[]): number {
  return Math.min(...costs.map((cost) => cost.wireBytes));
}

function secondsText(costs: readonly Cost[]): string {
  const seconds = costs.map((cost) => cost.seconds);
  return `${median(seconds).toFixed(2)} s (${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)})`;
}

function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 10 * MiB ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / MiB).toFixed(0)} MiB`;
}

const HEADINGS = {
  name: 'case',
  target: 'target',
  ours: 'driftless',
  peer: 'rsync',
  ratio: 'ratio',
  wire: 'wire: ours / rsync',
  memory: 'memory: client / server',
  met: 'met',
} as const;

/** The rows as a Markdown table, columns aligned. */
export function tableOf(rows: readonly Row[]): string {
  const keys = Object.keys(HEADINGS) as (keyof Row)[];
  const cell = (value: Row[keyof Row]): string => (typeof value === 'string' ? value : value === null ? '' : value ? 'yes' : 'NO');
  const lines = [keys.map((key) => HEADINGS[key] as string), ...rows.map((row) => keys.map((key) => cell(row[key])))];
  const widths = keys.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = lines.map((line) => `| ${line.map((value, column) => value.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  text.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return text.join('\n');
}
