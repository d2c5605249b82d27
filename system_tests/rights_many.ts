import { parseArgs } from 'node:util';
import { walk } from './rights_walks.ts';

/**
 * `npm run test:rights -- [--steps 10000] [--probe every|one] [--minutes M] [--seed S]`: the walk of rights with every route asked by every user after
 * each step that changed something, or with one of them in turn, as in `npm test`. Ends after the steps, or the minutes.
 */
const WALK_STEPS = 100; // on one server: links and shares that are over make the model slower, not the server

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '10000' },
    probe: { type: 'string', default: 'every' },
    minutes: { type: 'string', default: '600' },
    seed: { type: 'string' },
  },
});
if (values.probe !== 'every' && values.probe !== 'one') throw new Error('--probe is every or one');
const probes = values.probe === 'every' ? 'all' : 1;
const first = Number(values.seed ?? Date.now() % 2 ** 31);
const begunMs = performance.now();
const spentS = (): number => (performance.now() - begunMs) / 1000;
const asked = { shown: 0, hidden: 0 };
let steps = 0;
for (let seed = first; steps < Number(values.steps) && spentS() < Number(values.minutes) * 60; seed += 1) {
  const these = Math.min(WALK_STEPS, Number(values.steps) - steps);
  const coverage = await walk({ seed, steps: these, probes });
  steps += these;
  for (const { shown, hidden } of coverage.values()) {
    asked.shown += shown;
    asked.hidden += hidden;
  }
  const requests = `${asked.shown} requests of what can be seen, ${asked.hidden} of what cannot`;
  console.log(`seed ${seed}: ${steps} steps in ${spentS().toFixed(0)} s, ${requests}`);
}
