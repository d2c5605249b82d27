import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type UserLine, userLines } from './user_lines.ts';

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const linesOf = (bytes: Buffer, size: number): Promise<UserLine[]> => Array.fromAsync(userLines(cut(bytes, size)));

test('lines are read however the file is cut, and each bad one is named by its number without what is in it', async () => {
  const file = Buffer.concat([
    Buffer.from('\ufeffAlice:correct horse\r\n\n   \nbob:with:colons:in it\n'),
    Buffer.from('canary-without-a-colon\n'),
    Buffer.from([0x62, 0xff, 0x3a, 0x0a]),
    Buffer.from(`carol:${'canary'.repeat(2000)}\n`),
    Buffer.from('a b:canary-password\ndave:canary\nE\u0301lodie:mot de passe'),
  ]);
  for (const size of [1, 7, 64, file.length]) {
    const lines = await linesOf(file, size);
    assert.deepEqual(
      lines.map((one) => ('name' in one ? [one.line, one.name, one.password] : [one.line])),
      [[1, 'alice', 'correct horse'], [4, 'bob', 'with:colons:in it'], [5], [6], [7], [8], [9], [10, 'élodie', 'mot de passe']],
    );
    const problems = lines.flatMap((one) => ('problem' in one ? [one.problem] : []));
    assert.ok(!problems.join().includes('canary'));
    assert.match(problems[0] ?? '', /no colon/);
    assert.match(problems[1] ?? '', /UTF-8/);
    assert.match(problems[2] ?? '', /longer than/);
    assert.match(problems[3] ?? '', /user name/);
    assert.match(problems[4] ?? '', /password has/);
  }
});

test('an empty file and one without a last line feed are files too', async () => {
  assert.deepEqual(await linesOf(Buffer.from(''), 1), []);
  assert.deepEqual(await linesOf(Buffer.from('alice:password'), 3), [{ line: 1, name: 'alice', password: 'password' }]);
});
