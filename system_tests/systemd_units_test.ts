import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';

const SYSTEMD = new URL('../docs/systemd/', import.meta.url);
const CHECKOUT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const PROCESSES = ['auth', 'server'] as const;
const unitText = (name: string): Promise<string> => readFile(new URL(`driftless-${name}.service`, SYSTEMD), 'utf8');

function settingsOf(text: string): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  for (const [, name = '', value = ''] of text.matchAll(/^([A-Z][A-Za-z]+)=(.*)$/gm))
    settings.set(name, [...(settings.get(name) ?? []), value]);
  return settings;
}

const REQUIRED: Readonly<Record<string, string>> = {
  Group: 'driftless',
  UMask: '0027', // the other process is in the group: it reads public keys and fingerprints
  LimitCORE: '0', // what is in memory is not written to a disk
  NoNewPrivileges: 'yes',
  CapabilityBoundingSet: '',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  PrivateTmp: 'yes',
  PrivateDevices: 'yes',
  ProtectProc: 'invisible',
  ProtectKernelTunables: 'yes',
  ProtectKernelModules: 'yes',
  ProtectControlGroups: 'yes',
  RestrictNamespaces: 'yes',
  RestrictSUIDSGID: 'yes',
  LockPersonality: 'yes',
  SystemCallArchitectures: 'native',
};

for (const name of PROCESSES) {
  test(`the unit of ${name} runs its process as a user of its own, who may write its own folders and little else`, async () => {
    const settings = settingsOf(await unitText(name));
    for (const [setting, value] of Object.entries(REQUIRED)) assert.deepEqual(settings.get(setting), [value], setting);
    assert.deepEqual(settings.get('User'), [`driftless-${name}`]);
    const own = [`/var/lib/driftless-${name}`, '/var/lib/driftless-audit', `/var/log/driftless-${name}`];
    assert.deepEqual(settings.get('ReadWritePaths')?.join(' ').split(' '), own);
    assert.deepEqual(settings.get('Environment'), [`DRIFTLESS_DATA=${own[0]} DRIFTLESS_LOGS=${own[2]}`]);
    const hidden = name === 'auth' ? '/var/lib/driftless-server/packs' : '/var/lib/driftless-auth/auth/secrets.json';
    assert.ok(settings.get('InaccessiblePaths')?.join(' ').includes(hidden));
    assert.ok(!settings.get('SystemCallFilter')?.join(' ').includes('@debug'));
  });
}

test('each user, group and folder of the units is made, and secrets can be read by the daemon alone', async () => {
  const users = await readFile(new URL('driftless-sysusers.conf', SYSTEMD), 'utf8');
  const folders = await readFile(new URL('driftless-tmpfiles.conf', SYSTEMD), 'utf8');
  assert.match(users, /^g driftless /m);
  for (const name of PROCESSES) {
    assert.match(users, new RegExp(`^u driftless-${name} +-:driftless `, 'm'));
    for (const path of settingsOf(await unitText(name))
      .get('ReadWritePaths')
      ?.join(' ')
      .split(' ') ?? [])
      assert.match(folders, new RegExp(`^d ${path} `, 'm'));
  }
  for (const [, path, mode = ''] of folders.matchAll(/^[df] (\S+) +(\d+) /gm))
    assert.equal(Number.parseInt(mode, 8) & 0o007, 0, `${path} is nobody else's`);
  assert.match(folders, /^f \S+\/accounts\.db +0640 driftless-auth /m);
});

test('systemd finds nothing wrong with the units, and little that they could still give up', async (t) => {
  const folder = await temporaryFolder(t);
  const files: string[] = [];
  for (const name of PROCESSES) {
    const file = join(folder, `driftless-${name}.service`);
    await writeFile(file, (await unitText(name)).replaceAll('/opt/driftless', CHECKOUT));
    files.push(file);
  }
  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], { encoding: 'utf8' });
  if (verified.error !== undefined) return t.skip('there is no systemd-analyze here');
  const ours = verified.stderr.split('\n').filter((line) => line.includes('driftless'));
  assert.deepEqual([verified.status, ours], [0, []]);
  for (const file of files) {
    const { status, stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], { encoding: 'utf8' });
    assert.equal(status, 0, stdout.split('\n').at(-2) ?? ''); // 2.0 of 10, the less the better
  }
});
