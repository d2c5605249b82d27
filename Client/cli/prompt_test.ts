import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';

const PROMPT = JSON.stringify(new URL('./prompt.ts', import.meta.url).href);
const PROGRAM = `import(${PROMPT}).then(({ confirmKey }) => confirmKey("SHA256:abc")).then(
  (yes) => console.log("confirmed " + yes), (error) => console.log(error.code, error.message));`;
const TERMINAL_MAKER = 'script'; // of util-linux
const hasTerminals = spawnSync(TERMINAL_MAKER, ['--version']).status === 0;

it('without a terminal no key is confirmed, and it is said how to give it', async () => {
  const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.match(await text(child.stdout), /^server_key_unknown .*--key SHA256:abc\n$/);
});

const ANSWERS: readonly [typed: string, outcome: RegExp][] = [
  ['\r', /confirmed false/], // no, unless it is said
  ['y', /confirmed true/],
  ['\u0003', /cancelled/],
];
for (const [typed, outcome] of ANSWERS) {
  it(`on a terminal ${JSON.stringify(typed)} is ${outcome.source}`, { skip: !hasTerminals }, async (t) => {
    const command = `stty cols 100 rows 24; exec '${process.execPath}' -e '${PROGRAM}'`;
    const env = { PATH: '/usr/bin:/bin', TERM: 'xterm', SHELL: '/bin/sh' };
    const child = spawn(TERMINAL_MAKER, ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill());
    let shown = '';
    child.stdout.on('data', (bytes: Buffer) => {
      const isAsked = shown.includes('administrator gave you?');
      shown += bytes.toString();
      if (!isAsked && shown.includes('administrator gave you?')) child.stdin.write(typed);
    });
    await new Promise((closed) => child.once('close', closed));
    assert.match(shown, outcome);
  });
}
