import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename as renameFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { lossyLink } from './Authentication/testing/lossy_link.ts';
import { connect, type Driftless, type RestInvitation, register } from './Client/client.ts';
import { AppError, type ErrorCode } from './Models/errors.ts';
import { ROUTES } from './Models/routes.ts';
import { OwnTime } from './Models/testing/processor_time.ts';
import { daemonAnswers, privateEnvironment, startSystem } from './processes.ts';
import { findControls, findSecrets } from './system_tests/canaries.ts';
import { createSteps, type Steps } from './system_tests/steps.ts';

const USAGE = `npx tsx full_system_test.ts [--keep] [--verbose]

Drives the whole of Driftless as its users do. Uses the servers at DRIFTLESS_AUTH (127.0.0.1:4810) when they answer, else
starts both on free ports. --keep leaves the temporary folder; --verbose shows details and what the processes print.`;

const DEFAULT_AUTH = '127.0.0.1:4810';
const SMALL_FILES = 1000;
const LOSS = { loss: 0.2, duplicate: 0.2, reorder: 0.2 } as const;
const REVOKED_WITHIN_MS = 2_500;
const SYNCED_WITHIN_MS = 60_000;
const ADMIN = 'boss';

type World = Steps & { readonly auth: string; readonly folder: string; readonly password: string; readonly run: string };

type Users = { readonly alice: Driftless; readonly bob: Driftless; readonly carol: Driftless };

/** Every user has a profile of their own, and a name that no earlier run on the same servers can have taken. */
function account(world: World, name: string) {
  return { username: `${name}-${world.run}`, password: world.password, auth: world.auth, home: join(world.folder, `home-${name}`) };
}

async function refused(work: Promise<unknown>, ...codes: ErrorCode[]): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && codes.includes(error.code));
}

async function enter(world: World): Promise<Users> {
  const { step, note } = world;
  await step('register alice over UDP', async () => (await register(account(world, 'alice'))).close());
  await step('refuse a wrong password, and the same name again', async () => {
    await refused(connect({ ...account(world, 'alice'), password: 'not the password' }), 'credentials_wrong');
    await refused(register(account(world, 'alice')), 'name_taken');
  });
  const alice = await step('log alice in', () => connect(account(world, 'alice')));
  const seed = randomBytes(4).readUInt32BE();
  const bob = await step(`register and log bob in through a link that loses, repeats and reorders (seed ${seed})`, async () => {
    await using link = await lossyLink({ target: world.auth, seed, ...LOSS });
    const through = { ...account(world, 'bob'), auth: link.address };
    await (await register(through)).close();
    await (await connect(through)).close();
    return connect(account(world, 'bob'));
  });
  const carol = await step('register carol', () => register(account(world, 'carol')));
  note(`${alice.username}, ${bob.username} and ${carol.username} at ${alice.serverUrl}`);
  return { alice, bob, carol };
}

async function oneFile({ step, note, folder }: World, alice: Driftless): Promise<Buffer> {
  const content = randomBytes(3_000_000);
  const local = join(folder, 'q3.pdf');
  await writeFile(local, content);
  await step('make a folder', () => alice.createFolder('/reports'));
  await step('upload a file', async () => {
    let sent = 0;
    const report = await alice.upload(local, '/reports/q3.pdf', { onProgress: (progress) => (sent = progress.bytesDone) });
    assert.equal(report.failures.length, 0);
    note(`${sent} of ${content.length} bytes reported by the progress`);
  });
  await step('list the folder', async () => {
    const [entry, ...more] = await Array.fromAsync(alice.list('/reports'));
    assert.deepEqual([entry?.path, entry?.kind, entry?.size, more.length], ['/reports/q3.pdf', 'file', content.length, 0]);
  });
  await step('download it and compare', async () => {
    const back = join(folder, 'q3-back.pdf');
    await alice.download('/reports/q3.pdf', back);
    assert.ok(content.equals(await readFile(back)));
  });
  await step('preview its first 1024 bytes', async () => {
    assert.ok(content.subarray(0, 1024).equals(await alice.preview('/reports/q3.pdf')));
  });
  return content;
}

async function manyFiles({ step, note, folder }: World, alice: Driftless): Promise<void> {
  const source = join(folder, 'many');
  const names: string[] = [];
  for (let i = 0; i < SMALL_FILES; i += 1) names.push(join(`part-${i % 10}`, `note-${i}.txt`));
  for (let part = 0; part < 10; part += 1) await mkdir(join(source, `part-${part}`), { recursive: true });
  for (const name of names) await writeFile(join(source, name), randomBytes(100 + (name.length % 7) * 300));
  await step(`upload a folder of ${SMALL_FILES} small files`, async () => {
    const report = await alice.upload(source, '/many');
    assert.deepEqual([report.files, report.failures.length], [SMALL_FILES, 0]);
  });
  await step('upload it again: nothing is sent', async () => {
    const report = await alice.upload(source, '/many');
    assert.deepEqual([report.files, report.unchanged], [0, SMALL_FILES]);
  });
  await step('download it and compare each file', async () => {
    const back = join(folder, 'many-back');
    await alice.download('/many', back);
    for (const name of names) assert.ok((await readFile(join(source, name))).equals(await readFile(join(back, name))), name);
    const found = await readdir(back, { recursive: true, withFileTypes: true });
    assert.equal(found.filter((entry) => entry.isFile()).length, SMALL_FILES);
    note(`${SMALL_FILES} files equal`);
  });
}

/** Alice's laptop and her desktop, both watching. */
async function twoDevices(world: World, laptop: Driftless): Promise<void> {
  const { step, note, folder } = world;
  const desktop = await connect({ ...account(world, 'alice'), home: join(folder, 'home-alice-desktop') });
  const here = join(folder, 'laptop');
  const there = join(folder, 'desktop');
  const [left, right] = await step('keep a folder the same on two devices', async () => [
    await laptop.sync(here, '/work'),
    await desktop.sync(there, '/work'),
  ]);
  try {
    await step('a file saved on one appears on the other', async () => {
      await mkdir(join(here, 'plans'));
      await writeFile(join(here, 'plans', 'q4.txt'), 'first');
      note(`after ${await until(() => readText(join(there, 'plans', 'q4.txt')), 'first')} ms`);
    });
    await step('a renamed folder is renamed on the other, and a deleted file is deleted', async () => {
      await renameFile(join(there, 'plans'), join(there, 'ideas'));
      await until(() => readText(join(here, 'ideas', 'q4.txt')), 'first');
      await rm(join(here, 'ideas', 'q4.txt'));
      await until(() => readText(join(there, 'ideas', 'q4.txt')), null);
    });
    await step('what both change is kept twice, and nothing is lost', async () => {
      await writeFile(join(here, 'both.txt'), 'base');
      await until(() => readText(join(there, 'both.txt')), 'base');
      await Promise.all([left.pause(), right.pause()]);
      await writeFile(join(here, 'both.txt'), 'from the laptop');
      await writeFile(join(there, 'both.txt'), 'from the desktop');
      await Promise.all([left.resume(), right.resume()]);
      for (const device of [here, there]) {
        await until(async () => (await contents(device)).join(' | '), 'from the desktop | from the laptop');
      }
      assert.equal(left.conflicts().length + right.conflicts().length, 1);
    });
    await step('explain why a file is where it is', async () => {
      await until(async () => left.explain('both.txt')?.reason ?? right.explain('both.txt')?.reason, 'in_sync', 'in_conflict');
    });
  } finally {
    await Promise.all([left.close(), right.close()]);
    await desktop.close();
  }
}

async function readText(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null); // not there yet, or not any more
}

async function contents(device: string): Promise<string[]> {
  const names = (await readdir(device)).filter((name) => name.startsWith('both'));
  const texts = await Promise.all(names.map((name) => readText(join(device, name)))); // one is being renamed just then
  return texts.filter((text) => text !== null).sort();
}

/** @returns how long it took, ms */
async function until<T>(read: () => Promise<T>, ...wanted: T[]): Promise<number> {
  const since = performance.now();
  for (let found = await read(); !wanted.includes(found); found = await read()) {
    assert.ok(performance.now() - since < SYNCED_WITHIN_MS, `still ${String(found)} instead of ${wanted.join(' or ')}`);
    await sleep(5);
  }
  return Math.round(performance.now() - since);
}

async function rename({ step }: World, alice: Driftless): Promise<void> {
  await step('rename the file and the folder', async () => {
    const before = await alice.entry('/reports/q3.pdf');
    await alice.move('/reports/q3.pdf', '/reports/third quarter.pdf');
    await alice.move('/reports', '/shared reports');
    assert.equal((await alice.entry('/shared reports/third quarter.pdf')).digest, before.digest);
    await refused(alice.entry('/reports/q3.pdf'), 'not_found');
  });
}

/** What was is read, compared and brought back; then a folder is made what it was, and that is taken back too. */
async function history({ step, note, folder }: World, alice: Driftless): Promise<void> {
  const path = '/history/plan.txt';
  const text = async (at: string): Promise<string> => (await alice.preview(at)).toString();
  const save = async (content: string): Promise<void> => {
    const local = join(folder, 'plan.txt');
    await writeFile(local, content);
    await alice.upload(local, path);
  };
  await step('versions of a file are listed and compared, and an older one is restored', async () => {
    await alice.createFolder('/history');
    await save('at first\n');
    await save('better now\n');
    const [newest, oldest, ...more] = await Array.fromAsync(alice.versions(path));
    assert.ok(newest?.current && oldest !== undefined && more.length === 0);
    assert.match((await alice.diff(path, oldest.version)).diff, /^-at first\n\+better now$/m);
    await alice.restore(path, oldest.version);
    assert.equal(await text(path), 'at first\n');
    await alice.restore(path, newest.version, { to: '/history/better.txt' });
    assert.equal(await text('/history/better.txt'), 'better now\n');
    await refused(alice.restore(path, 999_999_999), 'not_found');
  });
  await step('what was deleted is in the trash, and comes back with all that was in it', async () => {
    await alice.delete('/history');
    const [item] = await Array.fromAsync(alice.trash());
    assert.deepEqual([item?.path, item?.kind, item?.user], ['/history', 'folder', alice.username]);
    await alice.undelete(item?.id ?? 0);
    assert.equal(await text(path), 'at first\n');
  });
  await step('a folder is rewound just as it was previewed, and that is undone', async () => {
    const [row] = await Array.fromAsync(alice.deeds('/history'));
    const { cursor = '' } = (await Array.fromAsync(alice.changes())).at(-1) ?? {};
    await save('worse again\n');
    await alice.move('/history/better.txt', '/history/moved.txt');
    const stale = await alice.rewind('/history', { cursor });
    await alice.createFolder('/history/new');
    await refused(alice.goBack(stale), 'version_stale');
    const plan = await alice.rewind('/history', { cursor });
    assert.deepEqual([plan.counts, plan.conflicts], [{ delete: 1, move: 1, restore: 0, content: 1 }, []]);
    const { operation } = await alice.goBack(plan);
    const names = async (): Promise<string[]> => (await Array.fromAsync(alice.list('/history'))).map((entry) => entry.path);
    assert.deepEqual([await text(path), await names()], ['at first\n', ['/history/better.txt', path]]);
    await alice.goBack(await alice.undo({ operation }));
    assert.deepEqual([await text(path), await names()], ['worse again\n', ['/history/moved.txt', '/history/new', path]]);
    note(`the folder came back by operation ${row?.operation}, was rewound by ${operation}`);
  });
  await alice.delete('/history');
}

async function quotas(world: World, alice: Driftless): Promise<void> {
  const { step, leftOut, folder } = world;
  const name = 'what would cross the quota is refused with figures';
  const boss = await register(account(world, ADMIN));
  try {
    const isAdmin = await boss.limits().then(
      () => true,
      (error: unknown) => (error instanceof AppError && error.code === 'forbidden' ? false : Promise.reject(error)),
    );
    if (!isAdmin) return leftOut(name, `${boss.username} is no administrator of the running servers (DRIFTLESS_ADMINS)`);
    await step(name, async () => {
      const { live } = await alice.usage();
      await boss.setLimits({ quota: live + 1000 }, alice.username);
      const local = join(folder, 'too much.bin');
      await writeFile(local, randomBytes(1001));
      await refused(alice.upload(local, '/too much.bin'), 'quota_exceeded');
      await refused(alice.entry('/too much.bin'), 'not_found');
      assert.deepEqual(await alice.usage().then((usage) => [usage.live, usage.quota]), [live, live + 1000]);
      await writeFile(local, randomBytes(1000));
      assert.deepEqual((await alice.upload(local, '/too much.bin')).failures, []);
      await refused(alice.setLimits({ quota: 'none' }, alice.username), 'forbidden');
      await boss.setLimits({ quota: null }, alice.username);
      await alice.delete('/too much.bin');
    });
  } finally {
    await boss.logout();
    await boss.close();
  }
}

async function publicLinks({ step, note }: World, alice: Driftless, content: Buffer): Promise<void> {
  const path = '/shared reports/third quarter.pdf';
  const link = await step('make a public link to the file, good for two uses', () =>
    alice.createLink(path, { usesMax: 2, expiresInSeconds: 3600 }),
  );
  const fetched = async (): Promise<Buffer> => Buffer.from(await (await fetch(link.url)).arrayBuffer());
  await step('fetch it without an account, look at its page, and find it used up after the second time', async () => {
    assert.ok(content.equals(await fetched()));
    const page = await fetch(link.url, { headers: { accept: 'text/html' } });
    assert.match(await page.text(), /third quarter\.pdf/);
    assert.ok(content.equals(await fetched()));
    assert.equal((await fetch(link.url)).status, 404);
    note((await alice.linkLog(link.id)).map(({ action, address, bytes }) => `${action} ${address} ${bytes}`).join(', '));
  });
  await step('a file comes in by a link that shows nothing, and none once that is revoked', async () => {
    const drop = await alice.createLink('/shared reports', { mode: 'upload' });
    const send = (): Promise<Response> => fetch(`${drop.url}/from a stranger.txt`, { method: 'PUT', body: 'hello' });
    assert.equal((await send()).status, 201);
    const listing = (await (await fetch(drop.url, { headers: { accept: 'application/json' } })).json()) as { entries: unknown[] };
    assert.deepEqual(listing.entries, []);
    assert.equal((await alice.preview('/shared reports/from a stranger.txt')).toString(), 'hello');
    await alice.deleteLink(drop.id);
    assert.equal((await send()).status, 404);
    assert.deepEqual(new Set((await Array.fromAsync(alice.links())).map(({ state }) => state)), new Set(['used_up', 'revoked']));
    await alice.delete('/shared reports/from a stranger.txt');
  });
}

async function sharing(world: World, users: Users, content: Buffer) {
  const { step, note, folder } = world;
  const { alice, bob, carol } = users;
  const invitation = await step('alice invites bob', async () => {
    const sent = await alice.invite('/shared reports', bob.username, { role: 'editor', message: 'have a look' });
    await refused(bob.entry('/shared reports'), 'not_found');
    return sent;
  });
  const path = await step('bob sees the invitation and accepts', async () => {
    const { received } = await bob.invitations();
    const mine = received.find((one: RestInvitation) => one.id === invitation.id);
    assert.deepEqual([mine?.from, mine?.role, mine?.message], [alice.username, 'editor', 'have a look']);
    return (await bob.accept(invitation.id)).path;
  });
  await eventsOf(world, users, path);
  await step('bob downloads the file', async () => {
    const back = join(folder, 'bob.pdf');
    await bob.download(`${path}/third quarter.pdf`, back);
    assert.ok(content.equals(await readFile(back)));
    note(`mounted at ${path}`);
  });
  await step('what bob writes there, alice reads', async () => {
    const local = join(folder, 'answer.txt');
    await writeFile(local, 'looks good\n');
    await bob.upload(local, `${path}/answer.txt`);
    assert.equal((await alice.preview('/shared reports/answer.txt')).toString(), 'looks good\n');
  });
  await step('bob becomes a viewer, and an editor again', async () => {
    await alice.setRole('/shared reports', bob.username, 'viewer');
    await refused(bob.createFolder(`${path}/mine`), 'forbidden');
    await alice.setRole('/shared reports', bob.username, 'editor');
    await bob.createFolder(`${path}/mine`);
  });
  await step('carol sees none of it and can do nothing with it', async () => {
    for (const remote of ['/shared reports', path, `${path}/third quarter.pdf`]) await refused(carol.entry(remote), 'not_found');
    await refused(carol.download(`${path}/third quarter.pdf`, join(folder, 'carol.pdf')), 'not_found');
    await refused(carol.accept(invitation.id), 'not_found');
    assert.deepEqual(await Array.fromAsync(carol.list('/')), []);
  });
  await step('carol is invited to a folder in it alone, and accepts it at a path', async () => {
    const { id } = await alice.invite('/shared reports/mine', carol.username);
    await carol.createFolder('/from others');
    assert.deepEqual(await carol.accept(id, { at: '/from others/reports' }), { path: '/from others/reports' });
    await bob.upload(join(folder, 'answer.txt'), `${path}/mine/for-carol.txt`);
    assert.equal((await carol.preview('/from others/reports/for-carol.txt')).toString(), 'looks good\n');
    await refused(carol.entry('/from others/answer.txt'), 'not_found');
  });
  await step('alice takes bob out: he has nothing of it any more, carol keeps hers', async () => {
    await alice.uninvite('/shared reports', bob.username);
    for (const remote of [path, `${path}/answer.txt`, `${path}/mine/for-carol.txt`]) await refused(bob.entry(remote), 'not_found');
    assert.deepEqual(await Array.fromAsync(bob.list('/')), []);
    assert.equal((await carol.preview('/from others/reports/for-carol.txt')).toString(), 'looks good\n');
  });
}

/** Alice's tree is what happens, and bob, whom she shares a folder with, looks on. */
async function eventsOf({ step }: World, { alice, bob }: Users, path: string): Promise<void> {
  await step('bob sees that alice is online, on which device and since when', async () => {
    const watching = new AbortController();
    const first = alice.events({ signal: watching.signal })[Symbol.asyncIterator]();
    assert.equal((await first.next()).value?.type, 'connected');
    const hers = (await bob.online()).find(({ user }) => user === alice.username);
    assert.ok(hers !== undefined && !hers.own && Date.parse(hers.since) <= Date.now());
    watching.abort();
    await first.return?.(undefined);
  });
  await step('bob follows what happens, and after a disconnect goes on where he was: nothing is lost, nothing comes twice', async () => {
    const folders = Array.from({ length: 12 }, (_, n) => `${n}`);
    const heard: string[] = [];
    await bob.eventsDone((await bob.changesPage({ limit: 1 })).cursor);
    const { cursor } = (await Array.fromAsync(bob.changes())).at(-1) ?? {};
    let since = cursor ?? 'start';
    for (const [n, name] of folders.entries()) {
      await alice.createFolder(`/shared reports/events/${name}`);
      if (n % 4 !== 3) continue; // he was away for three of them
      for await (const event of bob.events({ since })) {
        if (event.type !== 'changed') continue;
        if (event.path.startsWith(`${path}/events/`)) heard.push(event.path.slice(`${path}/events/`.length));
        since = await bob.eventsDone(event.cursor);
        if (heard.at(-1) === name) break;
      }
    }
    assert.deepEqual(heard, folders);
    assert.equal(await bob.doneMark(), since);
  });
}

/** Files that stay on alice's laptop. */
async function publishing({ step, note, folder }: World, { alice, bob, carol }: Users): Promise<void> {
  const local = join(folder, 'published');
  const content = randomBytes(5_000_000);
  await mkdir(local);
  await writeFile(join(local, 'talk.mp4'), content);
  const told: string[] = [];
  const end = bob.watchPublished(({ user, change, files }) => told.push(`${user} ${change} ${files.map(({ path }) => path).join()}`));
  try {
    await step('bob is online', () => until(async () => (await bob.online()).some(({ own }) => own), true));
    const publisher = await step('alice publishes a folder for bob, without uploading it', () =>
      alice.publish(local, { name: 'videos', to: [bob.username] }),
    );
    await step('bob is told, and sees that alice is online', async () => {
      await until(async () => told.includes(`${alice.username} files talk.mp4`), true);
      const [file] = await Array.fromAsync(bob.published({ user: alice.username }));
      assert.deepEqual([file?.name, file?.size, file?.online], ['videos/talk.mp4', content.length, true]);
    });
    await step('bob fetches it from her device and compares', async () => {
      assert.ok(content.subarray(0, 1024).equals(await bob.fetchPreview(alice.username, 'talk.mp4')));
      const back = join(folder, 'talk.mp4');
      await bob.fetch(alice.username, 'videos/talk.mp4', back);
      assert.ok(content.equals(await readFile(back)));
      const fetches = await Array.fromAsync(alice.fetches());
      assert.deepEqual(
        fetches.map(({ user, sent }) => [user, sent]),
        [
          [bob.username, content.length],
          [bob.username, 1024],
        ],
      );
    });
    await step('carol sees none of it and fetches nothing', async () => {
      assert.deepEqual(await Array.fromAsync(carol.published({ user: alice.username })), []);
      await refused(carol.fetch(alice.username, 'videos/talk.mp4', join(folder, 'carol.mp4')), 'not_found');
    });
    await step('alice goes: the file is offline, and fetching it says so', async () => {
      await publisher.close();
      note(`told after ${await until(async () => told.includes(`${alice.username} offline `), true)} ms`);
      await refused(bob.fetch(alice.username, 'talk.mp4', join(folder, 'late.mp4')), 'owner_offline');
      await alice.unpublish('videos');
      assert.deepEqual(await Array.fromAsync(bob.published({ user: alice.username })), []);
    });
  } finally {
    end();
  }
}

async function leave(world: World, { alice, bob, carol }: Users) {
  const { step, note } = world;
  await step('alice revokes another device of hers: it is refused soon after, and told why', async () => {
    await using phone = await connect({ ...account(world, 'alice'), home: join(world.folder, 'home-phone') });
    const { device } = await phone.whoami();
    await alice.renameDevice(device, 'phone');
    assert.equal((await alice.devices()).find(({ id }) => id === device)?.name, 'phone');
    await alice.revokeDevice(device);
    using time = new OwnTime();
    while ((await phone.ended()) !== 'revoked') {
      assert.ok(time.ms < REVOKED_WITHIN_MS, 'it is still let in');
      await sleep(50);
    }
    note(`refused after ${Math.round(time.ms)} ms`);
  });
  const ticket = await alice.ticket();
  const withTicket = (): Promise<Response> => fetch(`${bob.serverUrl}${ROUTES.whoami}`, { headers: { authorization: `Bearer ${ticket}` } });
  await step('alice logs out', async () => {
    assert.equal((await withTicket()).status, 200);
    await alice.logout();
  });
  await step('her ticket is refused soon after, and her session cannot be gone on with', async () => {
    using time = new OwnTime();
    while ((await withTicket()).status !== 401) {
      assert.ok(time.ms < REVOKED_WITHIN_MS, 'the ticket is still good');
      await sleep(50);
    }
    note(`refused after ${Math.round(time.ms)} ms`);
    const { password: _, ...session } = account(world, 'alice');
    await refused(connect(session), 'not_logged_in', 'session_unknown');
  });
  await step('the others log out', async () => {
    await bob.logout();
    await carol.logout();
  });
}

async function scenario(world: World): Promise<void> {
  const users = await enter(world);
  try {
    const content = await oneFile(world, users.alice);
    await manyFiles(world, users.alice);
    await rename(world, users.alice);
    await history(world, users.alice);
    await quotas(world, users.alice);
    await publicLinks(world, users.alice, content);
    await twoDevices(world, users.alice);
    await sharing(world, users, content);
    await publishing(world, users);
    await leave(world, users);
  } finally {
    await Promise.all(Object.values(users).map((user) => user.close()));
  }
}

async function logsAreClean({ folder, password }: World): Promise<void> {
  const logs = join(folder, 'logs');
  const names = await readdir(logs);
  const written = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(logs, name), 'utf8')] as const)));
  const profile = JSON.parse(await readFile(join(folder, 'home-bob', 'profile.json'), 'utf8'));
  const tickets = Buffer.from('{"alg":"EdDSA",').toString('base64url'); // how each begins
  assert.deepEqual(findSecrets(written, { password, tickets, ...profile.deviceProofs }), []);
  assert.deepEqual(findControls(written), []);
  assert.ok(findSecrets(written, { device: profile.deviceId }).length > 0);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { keep: { type: 'boolean' }, verbose: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const folder = await mkdtemp(join(tmpdir(), 'driftless-full-'));
  const steps = createSteps({ verbose: values.verbose === true, print: console.log });
  const asked = process.env.DRIFTLESS_AUTH ?? DEFAULT_AUTH;
  const run = randomBytes(4).toString('hex');
  try {
    const running = await daemonAnswers(asked);
    const started = async () => ({ ...(await privateEnvironment(folder, process.env)), DRIFTLESS_ADMINS: `${ADMIN}-${run}` });
    await using system = running ? null : await startSystem({ env: await started(), folder, showErrors: values.verbose === true });
    const auth = system?.auth ?? asked;
    console.log(running ? `Using the running servers at ${auth}\n` : `Started both servers, ${auth}\n`);
    const world = { ...steps, auth, folder, password: randomBytes(12).toString('hex'), run };
    await scenario(world);
    if (system !== null) await steps.step('find no password and no ticket in the logs', () => logsAreClean(world));
  } catch (error) {
    steps.failed(error);
  } finally {
    if (values.keep) console.log(`\nKept ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  }
  return steps.finish();
}

process.exitCode = await main();
