import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ROOT } from '../Client/sync/core/tree.ts';
import { contentId } from '../Models/content_id.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { Device, openWorld, settle } from './sync_devices.ts';
import { sharer } from './sync_shares.ts';

const world = await openWorld();
after(() => world[Symbol.asyncDispose]());

const WALKS = 4;
const STEPS = 70; // each
const SHARES = ['one', 'two', 'one/inner']; // of the owner
const FOLDERS_OWN = 'plain'; // of both, never shared
const begun = testSeed('walk of shares');

type Text = string;
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const idOf = (text: Text): string => {
  const bytes = Buffer.from(text);
  return contentId([{ digest: sha256(bytes), length: bytes.length }], sha256).toString('hex');
};

/** All files below a folder of a device, path and content; `everything`: with those that are put away. */
function filesOf(device: Device, folder = '', everything = false): Map<string, Text> {
  const found = new Map<string, Text>();
  if (!existsSync(device.path(folder))) return found;
  for (const entry of readdirSync(device.path(folder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(device.local.length + 1);
    if (!entry.isFile() || (!everything && path.startsWith('.driftless'))) continue;
    found.set(path, readFileSync(device.path(path), 'utf8'));
  }
  return found;
}

/** What the device knows the server to have, as content ids. */
function known(device: Device): Set<string> {
  const { remote } = device.sync.index;
  const found = new Set<string>();
  const folders = [ROOT];
  for (const folder of folders) {
    for (const { id, kind, content } of remote.children(folder)) {
      if (kind === 'folder') folders.push(id);
      else if (content !== null) found.add(content);
    }
  }
  return found;
}

type Count = Record<string, number>;

/**
 * Two users write, and share, at random. What nobody who might gave up must be on a disk in the end, and no content of the owner may ever come to the
 * guest's disk or index that was never in a folder while they could read it. @returns how often each thing was done
 */
async function walk(seed: number): Promise<Count> {
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const [owner, guest] = [sharer(world, await world.user()), sharer(world, await world.user())];
  const [a, b] = [new Device(world, owner.user), new Device(world, guest.user)];
  const done: Count = {};
  const log: string[] = [];
  const written = new Map<Text, 'a' | 'b'>();
  const givenUp = new Set<Text>(); // a person deleted or replaced it, and may
  const deleted = new Set<Text>(); // with a shared folder, on the server
  const shown = new Set<Text>(); // was where the guest may read
  let doubtful: Text[] = []; // deleted by the guest, who could not just then
  let rolesChanged = false;

  async function roleOf(share: string): Promise<string | null> {
    const answer = await world.server.ask(owner.user, { method: 'GET', url: `/v1/members?path=${encodeURIComponent(`/work/${share}`)}` });
    if (answer.status !== 200) return null;
    const { members }: { members: { user: string; role: string; state: string }[] } = answer.json();
    return members.find(({ user, state }) => user === guest.user.name && state === 'member')?.role ?? null;
  }

  async function noteShown(): Promise<void> {
    for (const share of SHARES) {
      if ((await roleOf(share)) !== null) for (const text of filesOf(a, share).values()) shown.add(text);
    }
  }

  async function pass(device: Device): Promise<void> {
    if (device === a) await noteShown();
    await device.sync.once();
    if (device === a) return noteShown();
    for (const text of doubtful) if (rolesChanged) givenUp.add(text);
    doubtful = [];
    rolesChanged = false;
    const there = new Set([...filesOf(b, '', true).values()]);
    const index = known(b);
    for (const [text, writer] of written) {
      if (writer === 'b' || shown.has(text)) continue;
      assert.ok(!there.has(text) && !index.has(idOf(text)), `${text} came to who may not read it\n${log.join('\n')}`);
    }
  }

  /** What the guest may only read comes back, whoever deletes it. */
  async function giveUp(device: Device, files: Iterable<readonly [path: string, text: Text]>): Promise<void> {
    for (const [path, text] of files) {
      const share = /^from (one.inner|one|two)(?:$|\/)/.exec(path)?.[1]?.replace(' ', '/');
      const mayOnlyRead = device === b && share !== undefined && (await roleOf(share)) === 'viewer';
      if (mayOnlyRead && written.get(text) === 'a') doubtful.push(text);
      else givenUp.add(text);
    }
  }

  async function write(device: Device): Promise<void> {
    const files = [...filesOf(device).keys()];
    const folders = readdirSync(device.local).filter((name) => name !== '.driftless');
    const path = random() < 0.5 && files.length > 0 ? pick(files) : join(pick(folders), pick(['', 'inner']), pick(['x', 'y', 'z']));
    if (device.has(path) && !files.includes(path)) return;
    if (device.has(path)) await giveUp(device, [[path, device.read(path)]]);
    const text = `${device === a ? 'a' : 'b'} ${seed} ${written.size}`;
    written.set(text, device === a ? 'a' : 'b');
    device.write(path, text);
    log.push(`${device === a ? 'a' : 'b'} writes ${path}: ${text}`);
  }

  async function remove(device: Device): Promise<void> {
    const files = [...filesOf(device).keys()];
    if (files.length === 0) return;
    const path = random() < 0.7 ? pick(files) : join(pick(files), '..');
    if (path === '.' || path === FOLDERS_OWN || (device === a && SHARES.includes(path))) return;
    await giveUp(
      device,
      [...filesOf(device)].filter(([one]) => `${one}/`.startsWith(`${path}/`)),
    );
    device.remove(path);
    log.push(`${device === a ? 'a' : 'b'} removes ${path}`);
  }

  function move(device: Device): void {
    const files = [...filesOf(device).keys()];
    if (files.length === 0) return;
    const from = pick(files);
    const to = join(
      pick([FOLDERS_OWN, ...readdirSync(device.local).filter((name) => name !== '.driftless')]),
      `moved ${written.size}-${log.length}`,
    );
    device.move(from, to);
    log.push(`${device === a ? 'a' : 'b'} moves ${from} to ${to}`);
  }

  async function tryTo(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
      return;
    }
    done[what] = (done[what] ?? 0) + 1;
    rolesChanged = true;
    log.push(what);
    await noteShown();
  }

  const shareOne = async (): Promise<void> => {
    const share = pick(SHARES);
    const role = pick(['viewer', 'viewer', 'editor'] as const);
    await pass(a); // what is on the server is on this disk
    await tryTo('share', async () => {
      await owner.share(`/work/${share}`, guest, role, `/work/from ${share.replace('/', ' ')}`);
      log.push(`${share} for a ${role}`);
    });
  };

  const deeds: readonly (readonly [weight: number, deed: () => Promise<void> | void])[] = [
    [6, () => write(a)],
    [6, () => write(b)],
    [2, () => remove(a)],
    [2, () => remove(b)],
    [2, () => move(a)],
    [2, () => move(b)],
    [5, () => pass(a)],
    [6, () => pass(b)],
    [4, shareOne],
    [2, () => tryTo('role', () => owner.role(`/work/${pick(SHARES)}`, guest, pick(['viewer', 'editor'])))],
    [1, () => tryTo('uninvite', () => owner.uninvite(`/work/${pick(SHARES)}`, guest))],
    [1, () => tryTo('leave', () => guest.leave(`/work/from ${pick(SHARES).replace('/', ' ')}`))],
    [1, () => tryTo('guest moves it', () => guest.move(`/work/from ${pick(['one', 'two'])}`, `/work/plain/had ${log.length}`))],
    [
      1,
      () =>
        tryTo('delete', async () => {
          const share = pick(['two', 'one/inner']);
          const texts = [...filesOf(a, share).values(), ...filesOf(b).values()];
          await owner.remove(`/work/${share}`);
          for (const text of texts) deleted.add(text);
        }),
    ],
    [
      1,
      () =>
        tryTo('undelete', async () => {
          await owner.undelete(`/work/${pick(['two', 'one/inner'])}`);
          await pass(a); // what came back may be the guest's to read, and is not on this disk yet
        }),
    ],
  ];
  const choices = deeds.flatMap(([weight, deed]) => Array.from({ length: weight }, () => deed));

  try {
    for (const device of [a, b]) {
      await device.open();
      device.write(`${FOLDERS_OWN}/x`, `${device === a ? 'a' : 'b'} ${seed} own`);
      written.set(`${device === a ? 'a' : 'b'} ${seed} own`, device === a ? 'a' : 'b');
    }
    for (const share of SHARES) {
      a.write(`${share}/x`, `a ${seed} ${share}`);
      written.set(`a ${seed} ${share}`, 'a');
    }
    for (const device of [a, b]) await pass(device);
    for (let step = 0; step < STEPS; step += 1) await pick(choices)();
    for (let round = 0; round < 4; round += 1) for (const device of [a, b]) await pass(device);
    await settle(a, b);
    await pass(b);
    const live = new Set([...filesOf(a).values(), ...filesOf(b).values()]);
    const all = new Set([...filesOf(a, '', true).values(), ...filesOf(b, '', true).values()]);
    for (const text of written.keys()) {
      if (givenUp.has(text)) continue;
      assert.ok((deleted.has(text) ? all : live).has(text), `lost: ${text}\n${log.join('\n')}`);
    }
    // a folder in one that is shared no more is shared by itself again, at the top of the home, where nobody syncs it here
    const home = (await world.server.ask(guest.user, { method: 'GET', url: '/v1/list?path=/' })).json() as { entries: unknown[] };
    if (home.entries.length > 1) return done;
    for (const share of SHARES) {
      if ((await roleOf(share)) === null) continue;
      const had = new Set(filesOf(b).values());
      for (const [path, text] of filesOf(a, share)) assert.ok(had.has(text), `${path} is shared, and not there\n${log.join('\n')}`);
    }
  } finally {
    for (const device of [a, b]) await device.close();
  }
  return done;
}

const counts: Count = {};
for (let n = 0; n < WALKS; n += 1) {
  const seed = begun + n;
  test(`two users write while folders between them are shared, moved, taken back and deleted: nothing lost, nothing shown (seed ${seed})`, async () => {
    for (const [what, count] of Object.entries(await walk(seed))) counts[what] = (counts[what] ?? 0) + count;
  });
}

test('in these walks folders were shared, and roles changed or ended', () => {
  const times = (...words: string[]): number => words.reduce((sum, word) => sum + (counts[word] ?? 0), 0);
  assert.ok(times('share') > 0 && times('role', 'uninvite', 'leave', 'delete') > 0, JSON.stringify(counts));
});
