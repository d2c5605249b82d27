import type { Socket } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import type { OperationResult } from '../Models/operations.ts';
import type { Metadata } from '../Storage/metadata.ts';
import { onRequestEnd } from './request_end.ts';

const DURATION_BUCKETS_S = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

export type Metrics = {
  /** Prometheus text format. */
  text(): Promise<{ readonly type: string; readonly body: string }>;
  readonly operations: Counter<'status'>;
};

/** What a process tells of itself. It is watched from then on for as long as it lives: once is enough. */
export function watchProcess(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Counts what passes through `app`. Route names are the patterns, so that no path of a user becomes a label. @param ofProcess told with it */
export function registerMetrics(app: FastifyInstance, ofProcess: Registry): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'driftless_http_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'driftless_http_request_duration_seconds',
    help: 'From the request line to the last byte of the answer',
    labelNames: ['route'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const bytes = new Counter({
    name: 'driftless_http_bytes_total',
    help: 'Bytes on the connections of finished requests',
    labelNames: ['direction', 'route'],
    registers,
  });
  const operations = new Counter({ name: 'driftless_operations_total', help: 'Operations by outcome', labelNames: ['status'], registers });
  new Gauge({ name: 'driftless_http_connections', help: 'Open connections', registers, collect: countConnections(app) });

  const countedSockets = new WeakMap<object, { read: number; written: number }>();
  onRequestEnd(app, (request, reply, status) => {
    const route = request.routeOptions.url ?? 'none';
    requests.inc({ method: request.method, route, status });
    seconds.observe({ route }, reply.elapsedTime / 1000);
    const socket = request.raw.socket as Socket | null; // gone once the request was destroyed
    if (socket === null) return;
    const before = countedSockets.get(socket) ?? { read: 0, written: 0 };
    const now = { read: socket.bytesRead ?? 0, written: socket.bytesWritten ?? 0 };
    bytes.inc({ direction: 'in', route }, Math.max(0, now.read - before.read));
    bytes.inc({ direction: 'out', route }, Math.max(0, now.written - before.written));
    countedSockets.set(socket, now);
  });
  return { operations, text: async () => ({ type: registry.contentType, body: await Registry.merge([ofProcess, registry]).metrics() }) };
}

function countConnections(app: FastifyInstance): (this: Gauge) => Promise<void> {
  return async function collect() {
    const count = await new Promise<number>((resolve, reject) => {
      app.server.getConnections((error, open) => (error === null ? resolve(open) : reject(error)));
    });
    this.set(count);
  };
}

/** The same metadata, counting what becomes of each operation, whichever route brought it. */
export function countingOperations(metadata: Metadata, operations: Counter<'status'>): Metadata {
  const commit: Metadata['commit'] = async (...request) => {
    const results = await metadata.commit(...request);
    for (const [status, count] of tally(results)) operations.inc({ status }, count);
    return results;
  };
  return new Proxy(metadata, {
    get(target, name) {
      if (name === 'commit') return commit;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function tally(results: readonly OperationResult[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { status } of results) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}
