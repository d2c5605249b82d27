import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../Models/testing/temporary_folder.ts';
import { installService, type RunProgram, removeService, runProgram, type ServicePlace, unitText } from './service.ts';

async function newPlace(t: TestContext): Promise<ServicePlace> {
  const folder = await temporaryFolder(t);
  return { configHome: join(folder, 'config'), home: join(folder, 'a home'), program: ['/opt/node', '/opt/driftless.js'], user: 'alice' };
}

/** Answers as told, and remembers what was run. */
function scripted(answers: (line: string) => { code: number; out: string } | null) {
  const ran: string[] = [];
  const run: RunProgram = async (words) => {
    ran.push(words.join(' '));
    return answers(words.join(' '));
  };
  return { run, ran };
}
const fine = scripted.bind(null, (line) => ({ code: 0, out: line.startsWith('loginctl') ? 'Linger=yes\n' : '' }));

test('install writes a unit that goes on with the profile, and starts it', async (t) => {
  const place = await newPlace(t);
  const { run, ran } = fine();
  const { unit, done, left } = await installService(place, run);
  assert.equal(unit, join(place.configHome, 'systemd/user/driftless.service'));
  const text = await readFile(unit, 'utf8');
  assert.match(text, /^ExecStart="\/opt\/node" "\/opt\/driftless\.js" "sync"$/m);
  assert.ok(text.includes(`Environment="DRIFTLESS_HOME=${place.home}"`));
  assert.doesNotMatch(text, /password/i);
  assert.equal((await stat(unit)).mode & 0o022, 0);
  assert.deepEqual(ran, [
    'systemctl --user daemon-reload',
    'systemctl --user enable driftless.service',
    'systemctl --user restart driftless.service',
    'loginctl show-user alice --property=Linger',
  ]);
  assert.deepEqual([done, left], [[`wrote ${unit}`, 'enabled and started it'], []]);
  const again = await installService(place, run);
  assert.deepEqual([again.done, again.left], [[`${unit} is there already`, 'enabled and started it'], []]);
  assert.deepEqual(await readdir(join(unit, '..')), ['driftless.service']);
});

test('where systemd does not answer, what is left to do is said', async (t) => {
  for (const [answer, why] of [
    [null, 'there is no systemctl'],
    [{ code: 1, out: 'Failed to connect to bus\nmore' }, 'Failed to connect to bus'],
    [{ code: 3, out: '' }, 'exit code 3'],
  ] as const) {
    const place = await newPlace(t);
    const { unit, done, left } = await installService(place, scripted(() => answer).run);
    assert.deepEqual(done, [`wrote ${unit}`]);
    assert.equal(left.length, 2);
    assert.match(left[0] ?? '', /^systemctl --user daemon-reload && systemctl --user enable --now driftless\.service/);
    assert.ok(left[0]?.includes(why), why);
    assert.match(left[1] ?? '', /^loginctl enable-linger alice/);
  }
});

test('remove stops it and takes the unit away, and may be repeated', async (t) => {
  const place = await newPlace(t);
  await installService(place, fine().run);
  const { run, ran } = fine();
  const { unit, done, left } = await removeService(place, run);
  assert.deepEqual([done, left], [['stopped and disabled it', `removed ${unit}`], []]);
  assert.deepEqual(ran, ['systemctl --user disable --now driftless.service', 'systemctl --user daemon-reload']);
  await assert.rejects(stat(unit), { code: 'ENOENT' });
  assert.deepEqual((await removeService(place, run)).done, [`${unit} was not there`]);
});

test('systemd finds nothing wrong with the unit, whatever the paths are called', async (t) => {
  const verify = spawnSync('systemd-analyze', ['--version']);
  if (verify.error !== undefined) return t.skip('no systemd-analyze here');
  const place = { ...(await newPlace(t)), home: '/home/a b/100% "x" \\$y', program: [process.execPath, '/bin/tr$x ue'] };
  const { unit } = await installService(place, scripted(() => null).run);
  const { status, stderr } = spawnSync('systemd-analyze', ['--user', 'verify', unit], { env: { XDG_RUNTIME_DIR: place.configHome } });
  assert.equal(status, 0, stderr.toString());
});

test('a path with a line break is refused', () => {
  const place = { configHome: '/c', home: '/h\nExecStartPre=/bin/evil', program: ['/n'], user: 'alice' };
  assert.throws(() => unitText(place), { code: 'request_invalid' });
});

test('programs are run to their end', async () => {
  assert.deepEqual(await runProgram([process.execPath, '-e', 'console.log(1)']), { code: 0, out: '1\n' });
  assert.deepEqual(await runProgram([process.execPath, '-e', 'console.error(2); process.exit(3)']), { code: 3, out: '2\n' });
  assert.equal(await runProgram(['driftless-there-is-no-such-program']), null);
});
