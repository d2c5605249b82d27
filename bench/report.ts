import { type Cost, median } from './measure.ts';

/** One case, the programs on the same files in turn: `ours[i]` and `costs[i]` of each peer ran one right after the other. */
export type Comparison = {
  readonly name: string;
  readonly secondsMax: number | null;
  readonly wireBytesMax: number | null;
  readonly ours: readonly Cost[];
  readonly peers: readonly Peer[];
  readonly note?: string;
};
export type Peer = {
  readonly name: string;
  readonly ratioMax: number;
  readonly costs: readonly Cost[] /* empty where it is not installed */;
};

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
export function rowOf({ name, secondsMax, wireBytesMax, ours, peers, note }: Comparison): Row {
  const compared = peers.map((peer) => ({ ...peer, ratios: ratiosOf(ours, peer.costs) }));
  const found = compared.filter(({ costs }) => costs.length > 0);
  const wire = leastWire(ours);
  const client = Math.max(...ours.map((cost) => cost.clientRssBytes));
  const server = Math.max(...ours.map((cost) => cost.serverRssBytes ?? 0));
  const inTime = secondsMax === null || median(ours.map((cost) => cost.seconds)) <= secondsMax;
  const limitsMet = inTime && Math.max(client, server) <= MEMORY_BYTES_MAX && (wireBytesMax === null || wire <= wireBytesMax);
  return {
    name,
    target: [
      ...(secondsMax === null ? [] : [`≤ ${secondsMax} s`]),
      ...peers.map((peer) => `≤ ${ratioText(peer.ratioMax)} × ${peer.name}`),
      ...(wireBytesMax === null ? [] : [`≤ ${bytesText(wireBytesMax)}`]),
    ].join(', '),
    ours: secondsText(ours) + (note === undefined ? '' : `; ${note}`),
    peer: compared
      .map(({ name: peer, costs }) => (costs.length === 0 ? `${peer} not installed` : `${peer} ${secondsText(costs)}`))
      .join('; '),
    ratio: found.map(({ ratios }) => rangeText(ratios)).join('; '),
    wire: [bytesText(wire), ...found.map(({ costs }) => bytesText(leastWire(costs)))].join(' / '),
    memory: `${bytesText(client)} / ${bytesText(server)}`,
    met: found.length < peers.length ? null : limitsMet && found.every(({ ratios, ratioMax }) => median(ratios) <= ratioMax),
  };
}

function ratiosOf(ours: readonly Cost[], peer: readonly Cost[]): number[] {
  return ours.flatMap((cost, run) => (peer[run] === undefined ? [] : [cost.seconds / peer[run].seconds]));
}

function ratioText(ratio: number): string {
  return Number.isInteger(ratio * 10) ? ratio.toFixed(1) : String(ratio);
}

function rangeText(values: readonly number[]): string {
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`;
}

/** A case that has no peer. */
export function figureRow(figure: Pick<Row, 'name' | 'target' | 'ours' | 'met'> & Partial<Row>): Row {
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

export function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 10 * MiB ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / MiB).toFixed(0)} MiB`;
}

const HEADINGS = {
  name: 'case',
  target: 'target',
  ours: 'driftless',
  peer: 'peer',
  ratio: 'ratio',
  wire: 'wire: ours / peer',
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
