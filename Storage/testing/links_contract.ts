import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { LinkMode } from '../../Models/links.ts';
import type { Access, Links, ManagedLink, NewLink } from '../links.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { alice, bob, carol, contentOf, done, mkdir, move, put, remove, share, symlink } from './metadata_fixture.ts';

/** An empty database; several instances of the port on it, as several servers would have. */
export type LinksPlace = {
  readonly metadata: Metadata;
  readonly links: Links;
  readonly openMax: number;
  readonly others: Links[];
  now: number;
};
export type OpenLinks = (t: TestContext) => Promise<LinksPlace>;

type Made = { readonly hash: Buffer; readonly link: ManagedLink };

async function make(links: Links, who: Principal, path: string, options: Partial<NewLink> = {}): Promise<Made> {
  const hash = createHash('sha256').update(randomBytes(16)).digest();
  const plain = { mode: 'download' as LinkMode, password: null, expiresAtMs: null, usesMax: null };
  return { hash, link: await links.create(who, { tokenHash: hash, path, ...plain, ...options }) };
}

const WHOLE: Access = { action: 'download', address: '192.0.2.1', path: '/f', content: 'ab'.repeat(32), joins: false, counts: true };
const PART: Access = { ...WHOLE, joins: true };

async function refused(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && error.code === code, code);
}

async function idsOf(links: Links, who: Principal, path: string | null = null): Promise<string[]> {
  return (await links.managed(who, { path, after: null, limit: 100 })).links.map((link) => link.id);
}

async function stateOf(links: Links, who: Principal, id: string): Promise<string | undefined> {
  const page = await links.managed(who, { path: null, after: null, limit: 100 });
  return page.links.find((link) => link.id === id)?.state;
}

/** alice's /work with a folder and a file in it. */
async function populate({ metadata }: LinksPlace): Promise<void> {
  const content = contentOf('hello');
  await done(metadata, alice, [mkdir('/work'), mkdir('/work/sub'), put('/work/f', content), symlink('/work/s', 'f')], [content]);
}

export function linksContract(name: string, open: OpenLinks): void {
  describe(`links on ${name}`, () => {
    contractOfRights(open);
    contractOfUses(open);
    contractOfManaging(open);
  });
}

function contractOfRights(open: OpenLinks): void {
  it('leads to a node wherever that is moved, and to nothing once it is deleted', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    const { hash } = await make(links, alice, '/work/sub');
    assert.equal((await links.find(hash))?.name, 'sub');
    await done(metadata, alice, [mkdir('/else'), move('/work/sub', '/else/there')]);
    assert.equal((await links.find(hash))?.name, 'there');
    await done(metadata, alice, [move('/else', '/other')]);
    assert.equal((await links.find(hash))?.name, 'there');
    await done(metadata, alice, [remove('/other')]);
    assert.equal(await links.find(hash), null);
  });

  it('follows a folder that becomes a shared one, with all that is linked in it', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    const [top, inner] = [await make(links, alice, '/work'), await make(links, alice, '/work/f')];
    await share(metadata, '/work', bob);
    assert.equal((await links.find(top.hash))?.name, 'work');
    assert.equal((await links.find(inner.hash))?.kind, 'file');
  });

  it('can do what its maker can do now: uploads end with the right to write, all of it with the right to read', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    const path = await share(metadata, '/work', bob, 'editor');
    const both = await make(links, bob, path, { mode: 'both' });
    const drop = await make(links, bob, path, { mode: 'upload' });
    assert.equal((await links.find(both.hash))?.mayWrite, true);
    assert.equal((await links.find(drop.hash))?.mayWrite, true);
    await metadata.leave(bob, path);
    assert.equal(await links.find(both.hash), null);
    assert.equal(await links.find(drop.hash), null);
    assert.equal(await stateOf(links, bob, both.link.id), 'unreachable');
    await share(metadata, '/work', bob, 'viewer');
    assert.equal((await links.find(both.hash))?.mayWrite, false);
    assert.equal(await links.find(drop.hash), null);
  });

  it('cannot be made by who cannot read, nor for uploads by who cannot write, nor of what cannot be linked', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    const path = await share(metadata, '/work', bob, 'viewer');
    await refused(make(links, carol, '/work'), 'not_found');
    await refused(make(links, alice, '/nothing'), 'not_found');
    await refused(make(links, alice, '/'), 'path_invalid');
    await refused(make(links, alice, '/work/s'), 'not_a_file');
    await refused(make(links, alice, '/work/f', { mode: 'upload' }), 'not_a_folder');
    await refused(make(links, bob, path, { mode: 'both' }), 'forbidden');
    await make(links, bob, path, { mode: 'preview' });
  });

  it('is found by nobody once it is revoked or has expired, or with another token', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const { hash, link } = await make(links, alice, '/work', { expiresAtMs: place.now + 1000 });
    const lasting = await make(links, alice, '/work');
    assert.equal(await links.find(randomBytes(32)), null);
    place.now += 999;
    assert.equal((await links.find(hash))?.id, link.id);
    place.now += 1;
    assert.equal(await links.find(hash), null);
    assert.equal(await links.begin(link.id, WHOLE), null);
    assert.equal(await stateOf(links, alice, link.id), 'expired');
    await links.revoke(alice, lasting.link.id);
    assert.equal(await links.find(lasting.hash), null);
    assert.equal(await links.begin(lasting.link.id, WHOLE), null);
    assert.equal(await stateOf(links, alice, lasting.link.id), 'revoked');
  });
}

function contractOfUses(open: OpenLinks): void {
  it('gives the last use to one of many who take it at once', async (t) => {
    const place = await open(t);
    await populate(place);
    const { link, hash } = await make(place.links, alice, '/work/f', { usesMax: 3 });
    const all = [place.links, ...place.others];
    const taken = await Promise.all(Array.from({ length: 20 }, (_, i) => (all[i % all.length] as Links).begin(link.id, WHOLE)));
    assert.equal(taken.filter((access) => access !== null).length, 3);
    assert.equal((await place.links.find(hash))?.usedUp, true);
    assert.equal(await stateOf(place.links, alice, link.id), 'used_up');
  });

  it('takes the parts that one address asks for within the hour for one use', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const { link } = await make(links, alice, '/work/f', { usesMax: 2 });
    const parts = await Promise.all([links.begin(link.id, PART), links.begin(link.id, PART), links.begin(link.id, PART)]);
    assert.equal(new Set(parts).size, 1);
    await links.end(link.id, parts[0] as number, 100);
    place.now += LIMITS.linkUseWindowMs - 1;
    assert.equal(await links.begin(link.id, PART), parts[0], 'still the same use');
    assert.notEqual(await links.begin(link.id, { ...PART, address: '192.0.2.2' }), parts[0], 'another address takes the second');
    assert.equal(await links.begin(link.id, { ...PART, content: 'cd'.repeat(32) }), null, 'other content would be a third');
    assert.equal(await links.begin(link.id, WHOLE), null, 'and so would the whole');
    assert.equal(await links.begin(link.id, PART), parts[0], 'the first can go on though the link is used up');
    place.now += LIMITS.linkUseWindowMs;
    assert.equal(await links.begin(link.id, PART), null, 'but not for ever');
  });

  it('gives a use back that came to nothing, and counts none for looking', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const { link, hash } = await make(links, alice, '/work', { mode: 'both', usesMax: 1 });
    await links.begin(link.id, { ...WHOLE, action: 'view', content: null, joins: true, counts: false });
    const upload = await links.begin(link.id, { ...WHOLE, action: 'upload' });
    assert.equal((await links.find(hash))?.usedUp, true);
    await links.undo(link.id, upload as number);
    await links.undo(link.id, upload as number);
    assert.equal((await links.find(hash))?.usedUp, false);
    assert.notEqual(await links.begin(link.id, WHOLE), null);
    assert.equal(await links.begin(link.id, WHOLE), null);
  });

  it('logs who did what, the newest first, and no more than it must', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const { link } = await make(links, alice, '/work/f');
    const first = await links.begin(link.id, WHOLE);
    place.now += 5;
    await links.end(link.id, first as number, 5);
    place.now += 5;
    await links.begin(link.id, { ...PART, action: 'view', content: null, counts: false });
    await links.begin(link.id, { ...PART, action: 'view', content: null, counts: false });
    const [newest, oldest, ...more] = await links.accesses(alice, link.id);
    assert.deepEqual([newest?.action, newest?.requests, oldest?.action, oldest?.bytes, more.length], ['view', 2, 'download', 5, 0]);
    assert.deepEqual([oldest?.address, (oldest?.lastAtMs ?? 0) - (oldest?.firstAtMs ?? 0)], ['192.0.2.1', 5]);
    for (let i = 0; i < LIMITS.linkLogRowsMax + 3; i += 1) await links.begin(link.id, WHOLE);
    assert.equal((await links.accesses(alice, link.id)).length, LIMITS.linkLogRowsMax);
  });
}

function contractOfManaging(open: OpenLinks): void {
  it('shows its maker all of them page by page, and nobody else any', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const made: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      if (i % 2 === 0) place.now += 1; // some in the same millisecond
      made.push((await make(links, alice, '/work')).link.id);
    }
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await links.managed(alice, { path: null, after, limit: 2 });
      seen.push(...page.links.map((link) => link.id));
      after = page.next;
      if (after === null) break;
    }
    assert.deepEqual(seen.toSorted(), made.toSorted());
    assert.ok(made.slice(0, 2).includes(seen.at(-1) as string), 'the oldest come last');
    assert.deepEqual(await idsOf(links, bob), []);
    await refused(links.managed(alice, { path: null, after: 'x', limit: 2 }), 'cursor_invalid');
  });

  it('shows the owner of a shared folder every link that shows any of it, and lets the owner revoke it', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    const path = await share(metadata, '/work', bob, 'editor');
    await done(metadata, bob, [mkdir('/private'), mkdir('/private/more'), move(path, '/private/more/w'), mkdir('/other')]);
    const inside = await make(links, bob, '/private/more/w/sub');
    const above = await make(links, bob, '/private');
    const unrelated = await make(links, bob, '/other');
    assert.deepEqual((await idsOf(links, alice)).toSorted(), [inside.link.id, above.link.id].toSorted());
    const page = await links.managed(alice, { path: null, after: null, limit: 10 });
    const paths = new Map(page.links.map((link) => [link.id, link.path]));
    assert.equal(paths.get(inside.link.id), '/work/sub');
    assert.equal(paths.get(above.link.id), '/work', 'what bob calls his own folder is his own business');
    await share(metadata, '/work', carol, 'editor');
    assert.deepEqual(await idsOf(links, carol), [], 'an editor manages no links of others');
    for (const who of [carol, alice]) await refused(links.revoke(who, unrelated.link.id), 'not_found');
    await refused(links.revoke(carol, inside.link.id), 'not_found');
    await refused(links.accesses(carol, inside.link.id), 'not_found');
    assert.deepEqual(await links.accesses(alice, inside.link.id), []);
    for (const { link, hash } of [inside, above]) {
      await links.revoke(alice, link.id);
      assert.equal(await links.find(hash), null);
    }
    await links.revoke(bob, above.link.id); // again changes nothing
    await refused(links.revoke(alice, 'f'.repeat(32)), 'not_found');
  });

  it('tells for a path the links to it, to what is below it, and to the folders it is in', async (t) => {
    const place = await open(t);
    const { metadata, links } = place;
    await populate(place);
    await done(metadata, alice, [mkdir('/workshop'), mkdir('/work/sub/deep')]);
    const ids = new Map<string, string>();
    for (const path of ['/work', '/work/sub', '/work/sub/deep', '/work/f', '/workshop'])
      ids.set(path, (await make(links, alice, path)).link.id);
    const expected = ['/work', '/work/sub', '/work/sub/deep'].map((path) => ids.get(path));
    assert.deepEqual((await idsOf(links, alice, '/work/sub')).toSorted(), expected.toSorted());
    assert.equal((await idsOf(links, alice, '/')).length, 5);
    await refused(idsOf(links, alice, '/nothing'), 'not_found');
  });

  it('forgets long after its end, and refuses more open links than a user may have', async (t) => {
    const place = await open(t);
    const { links } = place;
    await populate(place);
    const { link } = await make(links, alice, '/work', { expiresAtMs: place.now + 1 });
    await links.begin(link.id, WHOLE);
    for (let i = 0; i < place.openMax - 1; i += 1) await make(links, alice, '/work/f');
    await refused(make(links, alice, '/work'), 'too_large');
    place.now += 1;
    await make(links, alice, '/work');
    await refused(make(links, alice, '/work'), 'too_large');
    assert.ok((await links.managed(alice, { path: null, after: null, limit: 5000 })).links.some(({ id }) => id === link.id));
    place.now += LIMITS.linkEndedKeptMs + 1;
    const [open_] = (await links.managed(alice, { path: null, after: null, limit: 1 })).links;
    await links.revoke(alice, open_?.id as string);
    await make(links, alice, '/work');
    assert.ok(!(await links.managed(alice, { path: null, after: null, limit: 5000 })).links.some(({ id }) => id === link.id));
  });
}
