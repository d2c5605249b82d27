import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpaceReader } from '../../Storage/space_readers.ts';
import { LocalFanOut } from './events_fan_out.ts';

const noUsers: ReadonlySet<string> = new Set();
const space = (...ids: number[]) => ({ spaces: new Set(ids), users: noUsers });
const reader = (userId: string): SpaceReader => ({ userId, space: 1, homeHead: null });
const noRows = { latestRows: async () => assert.fail('nobody follows') };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('what is published while readers are asked for is asked for once more, all together', async () => {
  const asked: number[][] = [];
  let answer = Promise.withResolvers<SpaceReader[]>();
  const fanOut = new LocalFanOut(
    {
      readersOf: (spaces) => {
        asked.push([...spaces]);
        return answer.promise;
      },
      following: noRows,
    },
    (error) => assert.fail(String(error)),
  );
  let told = 0;
  const end = fanOut.subscribe('alice', () => {
    told += 1;
  });
  fanOut.publish(space(1));
  for (let n = 0; n < 10; n += 1) fanOut.publish(space(2, 3));
  assert.deepEqual(asked, [[1]]);
  const first = answer;
  answer = Promise.withResolvers();
  first.resolve([reader('alice'), reader('nobody here')]);
  await turn();
  assert.deepEqual([asked, told], [[[1], [2, 3]], 1]);
  answer.resolve([reader('alice')]);
  await turn();
  assert.equal(told, 2);
  end();
  fanOut.publish(space(4));
  assert.equal(asked.length, 2, 'nobody listens any more');
  await fanOut.close();
});

test('a change is told after all when its readers could not be asked for at first', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const failures: unknown[] = [];
  let broken = true;
  const asked: number[][] = [];
  const fanOut = new LocalFanOut(
    {
      readersOf: async (spaces) => {
        asked.push([...spaces]);
        if (broken) throw new Error('no database');
        return [reader('alice')];
      },
      following: noRows,
    },
    (error) => failures.push(error),
  );
  let told = 0;
  fanOut.subscribe('alice', () => {
    told += 1;
  });
  fanOut.publish(space(1));
  await turn();
  assert.deepEqual([failures.length, told], [1, 0]);
  broken = false;
  t.mock.timers.tick(1000);
  await turn();
  assert.deepEqual([asked, told], [[[1], [1]], 1]);
  await fanOut.close();
});
