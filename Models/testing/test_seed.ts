/**
 * The seed of a random test, below 2^31: the same for as long as nothing is committed, so that a commit passes or fails each time it is tested; another one
 * for the next commit, and for each test. A copy without git has always the same. `DRIFTLESS_TEST_SEED`, any text, is set by what runs the tests; where
 * a file of tests is run without that every run has another seed.
 * @param test its name, so that two tests do not try the same numbers
 */
export function testSeed(test: string): number {
  const text = `${test} ${process.env.DRIFTLESS_TEST_SEED ?? Date.now()}`;
  let mixed = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  mixed ^= mixed >>> 15;
  return Math.imul(mixed, 0x2c1b3c6d) >>> 1;
}
