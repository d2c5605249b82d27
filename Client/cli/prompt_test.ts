import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';

const PROGRAM = `
  import { confirmKey } from ${JSON.stringify(new URL('./prompt.ts', import.meta.url).href)};
  await confirmKey('SHA256:abc').catch((error) => console.log(error.code, error.message));`;

it('without a terminal no key is confirmed, and it is said how to give it', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.match(await text(child.stdout), /^server_key_unknown .*--key SHA256:abc\n$/);
});
