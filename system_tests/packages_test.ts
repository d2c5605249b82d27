import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';

const Versions = z.record(z.string(), z.string()).default({});
const Manifest = z.object({ dependencies: Versions, devDependencies: Versions, optionalDependencies: Versions });
const Lock = z.object({ packages: z.record(z.string(), z.object({ optionalDependencies: Versions })) });

const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

test('every direct dependency is pinned to one exact version', () => {
  const manifest = Manifest.parse(JSON.parse(read('package.json')));
  for (const group of Object.values(manifest)) {
    for (const [name, version] of Object.entries(group)) assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
  }
});

test('the lock file names no registry, so that everyone installs from their own', () => {
  assert.doesNotMatch(read('package-lock.json'), /"resolved"/);
});

// npm leaves a platform's build out of the lock file where the registry it wrote from does not have it; `npm ci` then refuses the lock file.
test('the lock file holds the build for every platform of each native package', () => {
  const { packages } = Lock.parse(JSON.parse(read('package-lock.json')));
  const missing = Object.values(packages)
    .flatMap((entry) => Object.keys(entry.optionalDependencies))
    .filter((name) => packages[`node_modules/${name}`] === undefined);
  assert.deepEqual(missing, []);
});
