import { LAYERS, MUTANTS, type Mutant } from './simulation_layers.ts';

/** @returns the seed that found it, `null`: it survived */
async function foundBy({ seeds, run }: Mutant): Promise<number | null> {
  for (let seed = 0; seed < seeds; seed += 1) if ((await run(seed)).failure !== null) return seed;
  return null;
}

async function main(): Promise<number> {
  let survivors = 0;
  console.log(`${MUTANTS.length} mistakes, to be found by ${Object.keys(LAYERS).join(', ')}`);
  for (const mutant of MUTANTS) {
    const seed = await foundBy(mutant);
    if (seed === null) survivors += 1;
    const outcome = seed === null ? `SURVIVED ${mutant.seeds} seeds` : `found by seed ${seed}`;
    console.log(`  ${mutant.name.padEnd(16)} ${outcome.padEnd(24)} ${mutant.mistake}`);
  }
  return survivors === 0 ? 0 : 1;
}

process.exitCode = await main();
