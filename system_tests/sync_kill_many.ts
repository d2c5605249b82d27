import { parseArgs } from 'node:util';
import { killAtRandom } from './sync_kills.ts';

const USAGE = `npm run test:sync-kills -- [--kills N] [--seed S]
  --kills N  SIGKILLs at random moments (200)
  --seed S   who does what, and what is killed; when is up to the machine`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { kills: { type: 'string', default: '200' }, seed: { type: 'string' }, help: { type: 'boolean' } },
  });
  const [kills, seed] = [Number(values.kills), Number(values.seed ?? Date.now() % 2 ** 31)];
  if (values.help || !Number.isSafeInteger(kills) || kills < 0 || !Number.isSafeInteger(seed)) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  console.log(`seed ${seed}`);
  const since = performance.now();
  try {
    const report = await killAtRandom({ kills, seed, print: console.log });
    console.log(`All well after ${Math.round((performance.now() - since) / 1000)} s: ${JSON.stringify(report)}`);
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  }
}

process.exitCode = await main();
