import assert from 'node:assert/strict';
import { test } from 'node:test';
import { portOf } from '../processes.ts';

test('processes that are started one after another try other ports, which lie below those that the system gives out', () => {
  const [started, each] = [300, 40];
  for (const pid of [1, 549, 4_194_304 - started]) {
    const ports = new Set<number>();
    for (let nth = 0; nth < started * each; nth += 1) ports.add(portOf(pid + Math.floor(nth / each), nth % each));
    assert.equal(ports.size, started * each);
    assert.ok(Math.min(...ports) >= 10_000 && Math.max(...ports) < 32_000);
  }
  const longRunning = new Set(Array.from({ length: 400 }, (_, taken) => portOf(1000, taken)));
  for (const pid of [1001, 1002, 1550, 2100]) assert.ok(!longRunning.has(portOf(pid, 0)), `process ${pid}`);
});
