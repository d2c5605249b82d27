import { parseArgs } from 'node:util';
import { replayHistory } from './engine_layer.ts';
import { type MatrixFailure, runMatrix } from './matrix.ts';
import { openSimFolder } from './sim_server.ts';

const USAGE = `npm run simulate:replay -- --history FILE | --matrix all|SCENARIO
  --history FILE  runs a history that a failure has left, and tells it
  --matrix NAME   each kind of trouble at each call of a pass, in one scenario or all`;

/** One line for each kind of failure. */
async function matrix(only: string | undefined): Promise<boolean> {
  const folder = await openSimFolder(25);
  const seen = new Map<string, number>();
  const onFailure = ({ scenario, fault, outcome }: MatrixFailure): boolean => {
    const kind = `${scenario}: ${outcome.violation?.invariant}`;
    const count = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, count);
    if (count <= 2) console.log(`${scenario}: ${outcome.violation?.message.slice(0, 300)}\n  with ${JSON.stringify(fault)}`);
    return true;
  };
  const startMs = performance.now();
  const runs = await runMatrix(folder, { only, onFailure });
  console.log(`${runs} runs in ${((performance.now() - startMs) / 1000).toFixed(0)} s; failures: ${JSON.stringify([...seen])}`);
  await folder.close();
  return seen.size === 0;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { history: { type: 'string' }, matrix: { type: 'string' } } });
  if (values.history !== undefined) {
    const { text, held } = await replayHistory(values.history);
    console.log(text);
    return held ? 0 : 1;
  }
  if (values.matrix !== undefined) return (await matrix(values.matrix === 'all' ? undefined : values.matrix)) ? 0 : 1;
  console.error(USAGE);
  return 2;
}

process.exitCode = await main();
