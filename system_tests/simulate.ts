import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { LAYERS, type Layer } from './simulation_layers.ts';

const USAGE = `npm run simulate -- --layer ${Object.keys(LAYERS).join('|')} [--seeds N] [--seconds N] [--seed S]
  --seed S     the first seed, without it any; alone: only that one
  --seeds N    this many (10000 without --seconds and --seed)
  --seconds N  as many as fit in this time`;

const SHARES_FROM = 1000; // seeds: in fewer, a share says nothing

type Range = { readonly first: number; readonly count: number; readonly seconds: number };

/** @returns whether all went well */
async function simulate(name: string, layer: Layer, { first, count, seconds }: Range): Promise<boolean> {
  const beganMs = performance.now();
  const counts = new Map<string, number>();
  let done = 0;
  for (; done < count && performance.now() - beganMs < seconds * 1000; done += 1) {
    const { labels, failure } = await layer.run(first + done);
    if (failure !== null) {
      console.error(`${failure}\n\nagain: npm run simulate -- --layer ${name} --seed ${first + done}`);
      return false;
    }
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const tookSeconds = (performance.now() - beganMs) / 1000;
  console.log(`${name}: ${done} seeds from ${first}, all well; ${Math.round(done / tookSeconds)} a second`);
  return done < SHARES_FROM || enoughOfEach(layer, counts, done);
}

function enoughOfEach(layer: Layer, counts: ReadonlyMap<string, number>, done: number): boolean {
  let enough = true;
  for (const [label, share] of layer.shares) {
    const found = (counts.get(label) ?? 0) / done;
    const tooFew = found < share;
    if (tooFew) enough = false;
    console.log(`  ${(found * 100).toFixed(1).padStart(5)} %  ${label}${tooFew ? `: too few, ${share * 100} % are needed` : ''}`);
  }
  return enough;
}

function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error(`not a number: ${text}`);
  return Number(text);
}

async function main(): Promise<number> {
  const options = { layer: { type: 'string' }, seeds: { type: 'string' }, seed: { type: 'string' }, seconds: { type: 'string' } } as const;
  const { values } = parseArgs({ options });
  const layer = values.layer === undefined ? undefined : LAYERS[values.layer];
  if (values.layer === undefined || layer === undefined) {
    console.error(USAGE);
    return 2;
  }
  const seed = parseNumber(values.seed);
  const seconds = parseNumber(values.seconds);
  const count = parseNumber(values.seeds) ?? (seconds !== undefined ? Number.POSITIVE_INFINITY : seed !== undefined ? 1 : 10_000);
  const well = await simulate(values.layer, layer, {
    first: seed ?? randomInt(2 ** 31),
    count,
    seconds: seconds ?? Number.POSITIVE_INFINITY,
  });
  return well ? 0 : 1;
}

process.exitCode = await main();
