import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import {
  alice,
  bob,
  carol,
  chunkOf,
  commit,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  type OpenPlace,
  put,
  remove,
  share,
  words,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const many = contentOf('part 1', 'part 2');
const invitation = (path: string, who = bob) => ({
  path,
  userId: who.userId,
  userName: who.userName,
  role: 'editor' as const,
  message: null,
});

export function contractOfSharing(open: OpenPlace): void {
  test('what one user stores does not exist for another', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/secret/f', one)], [one]);
    await done(store, bob, [mkdir('/mine')]);
    assert.deepEqual(await store.stat(bob, ['/secret', '/secret/f']), [null, null]);
    assert.deepEqual(words(await commit(store, bob, [move('/secret', '/x'), copy('/secret/f', '/x'), remove('/secret/f')])), [
      'not_found',
      'not_found',
      'not_found',
    ]);
    await assert.rejects(store.invite(bob, invitation('/secret', carol)), { code: 'not_found' });
    await assert.rejects(store.members(bob, '/secret'), { code: 'not_found' });
    await assert.rejects(store.leave(bob, '/secret'), { code: 'not_found' });
    assert.deepEqual(await listing(store, bob), ['/mine folder']);
  });

  test('a digest neither grants access nor tells what strangers store', async (t) => {
    const store = await (await open(t)).open();
    const part = chunkOf('part 9');
    await done(store, alice, [put('/f', one), put('/many', many)], [one, many]);
    await store.recordChunks(alice, [part]);
    const digests = [one.digest, ...many.chunks.map((chunk) => chunk.digest), part.digest, two.digest];
    assert.deepEqual(await store.have(alice, digests), [true, true, true, true, false]);
    assert.deepEqual(await store.have(bob, digests), [false, false, false, false, false]);
    assert.deepEqual(await store.locate(bob, digests), [null, null, null, null, null]);
    assert.deepEqual((await store.locate(alice, [part.digest]))[0], part.location);
    assert.deepEqual(words(await commit(store, bob, [put('/f', one)])), ['chunk_missing']);
    await done(store, bob, [put('/f', one)], [one]);
    assert.deepEqual(await store.have(bob, digests), [true, false, false, false, false]);
  });

  test('a member of many folders finds the chunks of each, and of no other', async (t) => {
    const store = await (await open(t)).open();
    const contents = Array.from({ length: 7 }, (_, i) => contentOf(`file ${i}`));
    await done(
      store,
      alice,
      contents.map((content, i) => put(`/f${i}/x`, content)),
      contents,
    );
    for (let i = 0; i < 6; i += 1) await share(store, `/f${i}`, bob, 'viewer');
    const digests = contents.map((content) => content.digest);
    assert.deepEqual(await store.have(bob, digests), [true, true, true, true, true, true, false]);
    assert.deepEqual((await store.locate(bob, digests)).slice(0, 6), (await store.locate(alice, digests)).slice(0, 6));
    assert.deepEqual(words(await commit(store, bob, [put('/mine', contents[5] as never), put('/not', contents[6] as never)])), [
      'done',
      'chunk_missing',
    ]);
  });

  test('what a member puts into a shared folder can be read by the others, whether its chunks came with it or were there', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob);
    await done(store, alice, [put('/own', many)], [many]);
    await done(store, alice, [put('/team/new', one), put('/team/known', many)], [one]);
    await done(store, bob, [put('/team/theirs', two)], [two]);
    const digests = [one.digest, two.digest, ...many.chunks.map((chunk) => chunk.digest)];
    assert.deepEqual(await store.have(bob, digests), [true, true, true, true]);
    assert.deepEqual(await store.have(alice, digests), [true, true, true, true]);
    await store.leave(bob, '/team');
    assert.deepEqual(await store.have(bob, digests), [false, true, false, false]);
  });

  test('a folder becomes a shared one in its place, nodes keep their ids, versions only grow', async (t) => {
    const store = await (await open(t)).open();
    const made = await done(
      store,
      alice,
      [mkdir('/team'), put('/team/a/many', many), put('/team/one', one), put('/other', two)],
      [many, one, two],
    );
    const before = await listing(store, alice);
    const versions = await store.stat(alice, ['/team/a/many', '/team/one']);
    const path = await share(store, '/team', bob);
    assert.equal(path, '/team');
    assert.deepEqual(await listing(store, alice), before);
    assert.deepEqual(
      await listing(store, bob),
      before.filter((line) => !line.startsWith('/other')),
    );
    const [top, file, single] = await store.stat(alice, ['/team', '/team/a/many', '/team/one']);
    assert.deepEqual([top?.nodeId, file?.nodeId], [made[0]?.nodeId, made[1]?.nodeId]);
    assert.deepEqual(top?.shared, { role: 'owner', owner: 'alice' });
    for (const entry of versions) assert.ok((file?.version ?? 0) > (entry?.version ?? 0) && (single?.version ?? 0) > (entry?.version ?? 0));
    const [theirs, manifest] = [await store.stat(bob, ['/team', '/team/one']), await store.manifests(bob, ['/team/a/many'])];
    assert.deepEqual([theirs[0]?.shared, theirs[0]?.name, theirs[1]?.shared], [{ role: 'editor', owner: 'alice' }, 'team', null]);
    assert.equal(manifest[0]?.chunks.length, 2);
    assert.deepEqual(await store.have(bob, [one.digest, two.digest, ...many.chunks.map((chunk) => chunk.digest)]), [
      true,
      false,
      true,
      true,
    ]);
  });

  test('a viewer reads, an editor writes, only an owner invites', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one]);
    await share(store, '/team', bob, 'viewer');
    await share(store, '/team', carol, 'editor');
    const tries = [
      put('/team/new', two),
      mkdir('/team/d'),
      remove('/team/f'),
      move('/team/f', '/team/g'),
      move('/team/f', '/f'),
      copy('/team/f', '/team/g'),
    ];
    assert.deepEqual(
      words(await commit(store, bob, tries, [two])),
      Array.from(tries, () => 'forbidden'),
    );
    assert.deepEqual(words(await commit(store, bob, [copy('/team/f', '/f'), copy('/team', '/mine')])), ['done', 'done']);
    assert.deepEqual(words(await commit(store, carol, tries.slice(0, 4), [two])), ['done', 'done', 'done', 'not_found']);
    for (const who of [bob, carol])
      await assert.rejects(store.invite(who, { path: '/team', userId: 'd'.repeat(32), userName: 'dave', role: 'viewer', message: null }), {
        code: 'forbidden',
      });
    assert.deepEqual(await store.members(bob, '/team/new'), [
      { user: 'alice', role: 'owner', state: 'member', inherited: false },
      { user: 'bob', role: 'viewer', state: 'member', inherited: false },
      { user: 'carol', role: 'editor', state: 'member', inherited: false },
    ]);
    assert.equal((await store.stat(bob, ['/mine/f']))[0]?.size, 3);
  });

  test('invitations are seen by both sides until they are answered, once', async (t) => {
    const store = await (await open(t)).open({ now: () => 77 });
    await done(store, alice, [mkdir('/team')]);
    const sent = await store.invite(alice, { path: '/team', userId: bob.userId, userName: 'bob', role: 'viewer', message: 'come in' });
    const expected = {
      id: sent.id,
      folderName: 'team',
      from: 'alice',
      to: 'bob',
      role: 'viewer',
      state: 'pending',
      message: 'come in',
      createdAtMs: 77,
      expiresAtMs: 77 + LIMITS.invitationLifetimeMs,
      answeredAtMs: null,
    } as const;
    assert.deepEqual(sent, expected);
    assert.match(sent.id, /^[0-9a-f]{32}$/);
    assert.deepEqual(await store.invitations(alice), { received: [], sent: [expected] });
    assert.deepEqual(await store.invitations(bob), { received: [expected], sent: [] });
    assert.deepEqual(await store.invitations(carol), { received: [], sent: [] });
    assert.deepEqual(await store.members(alice, '/team'), [
      { user: 'alice', role: 'owner', state: 'member', inherited: false },
      { user: 'bob', role: 'viewer', state: 'invited', inherited: false },
    ]);
    await assert.rejects(store.accept(carol, sent.id), { code: 'not_found' });
    await assert.rejects(store.decline(carol, sent.id), { code: 'not_found' });
    await store.decline(bob, sent.id);
    const declined = { ...expected, state: 'declined', answeredAtMs: 77 };
    assert.deepEqual(await store.invitations(alice), { received: [], sent: [declined] });
    assert.deepEqual(await store.invitations(bob), { received: [declined], sent: [] });
    await assert.rejects(store.accept(bob, sent.id), { code: 'invitation_invalid' });
    await assert.rejects(store.decline(bob, sent.id), { code: 'invitation_invalid' });
    const again = await store.invite(alice, invitation('/team'));
    await store.accept(bob, again.id);
    await assert.rejects(store.accept(bob, again.id), { code: 'invitation_invalid' });
    const third = await store.invite(alice, invitation('/team', carol));
    await store.decline(alice, third.id); // taken back
    await assert.rejects(store.accept(carol, third.id), { code: 'invitation_invalid' });
    const states = (all: readonly { state: string }[]) => all.map(({ state }) => state).sort();
    assert.deepEqual(states((await store.invitations(alice)).sent), ['accepted', 'declined', 'revoked']);
    assert.deepEqual(states((await store.invitations(carol)).received), ['revoked']);
  });

  test('an invitation that makes no sense is refused and shares nothing', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team/sub'), put('/file', one), mkdir('/around/inner')], [one]);
    await assert.rejects(store.invite(alice, invitation('/team', alice)), { code: 'invitation_invalid' });
    await assert.rejects(store.invite(alice, invitation('/')), { code: 'invitation_invalid' });
    await assert.rejects(store.invite(alice, invitation('/file')), { code: 'not_a_folder' });
    await assert.rejects(store.invite(alice, invitation('/nothing')), { code: 'not_found' });
    await assert.rejects(store.invite(alice, { ...invitation('/team'), message: 'x'.repeat(1025) }), { code: 'too_large' });
    assert.equal((await store.stat(alice, ['/team']))[0]?.shared, null);
    await share(store, '/team', bob);
    await assert.rejects(store.invite(alice, invitation('/team')), { code: 'invitation_invalid' });
    await store.invite(alice, invitation('/team', carol));
    await assert.rejects(store.invite(alice, invitation('/team', carol)), { code: 'invitation_invalid' });
    await done(store, bob, [mkdir('/around'), move('/team', '/around/team')]);
    await assert.rejects(store.invite(bob, invitation('/around', carol)), { code: 'invitation_invalid' });
    assert.equal((await store.stat(bob, ['/around']))[0]?.shared, null);
  });

  test('an accepted folder gets a free name, and its member may rename and move it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one]);
    await done(store, bob, [mkdir('/TEAM'), put('/team (2)', two), mkdir('/box')], [two]);
    assert.equal(await share(store, '/team', bob), '/team (3)');
    await done(store, bob, [move('/team (3)', '/box/Work'), put('/box/Work/g', two), mkdir('/box/Work/new')]);
    assert.equal((await store.stat(alice, ['/team/g']))[0]?.size, 3);
    assert.deepEqual((await store.stat(bob, ['/box/Work']))[0]?.shared, { role: 'editor', owner: 'alice' });
    const node = (await store.stat(bob, ['/box/Work']))[0]?.nodeId;
    const [again] = await commit(store, bob, [move('/box/Work', '/box/Work')]);
    assert.deepEqual(again?.status === 'unchanged' && again.nodeId, node);
    await done(store, bob, [move('/box', '/crate'), put('/crate/Work/h', two)]);
    assert.deepEqual(
      (await store.stat(alice, ['/team/h', '/team/new'])).map((entry) => entry?.kind),
      ['file', 'folder'],
    );
    assert.deepEqual(
      words(await commit(store, bob, [remove('/crate'), move('/crate', '/crate/Work/x'), put('/CRATE/work/h', one)], [one])),
      ['forbidden', 'folder_into_itself', 'name_collides'],
    );
  });

  test('a move into or out of a shared folder brings content and rights along', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), put('/mine/many', many), put('/mine/one', one)], [many, one]);
    await share(store, '/team', bob);
    assert.deepEqual(await store.have(bob, [one.digest]), [false]);
    await done(store, alice, [move('/mine', '/team/given')]);
    assert.deepEqual(await listing(store, alice, '/team'), await listing(store, bob, '/team'));
    assert.deepEqual(await store.have(bob, [one.digest, ...many.chunks.map((chunk) => chunk.digest)]), [true, true, true]);
    assert.equal((await store.manifests(bob, ['/team/given/many']))[0]?.chunks.length, 2);
    await done(store, bob, [move('/team/given/many', '/taken')]);
    assert.deepEqual(await store.stat(alice, ['/team/given/many', '/taken']), [null, null]);
    assert.equal((await store.manifests(bob, ['/taken']))[0]?.chunks.length, 2);
    await done(store, alice, [mkdir('/second')]);
    await share(store, '/second', bob);
  });

  test('who leaves, or deletes the mount, has nothing of the folder any more; it stays for the others', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one]);
    await share(store, '/team', bob);
    await share(store, '/team', carol);
    await assert.rejects(store.leave(alice, '/team'), { code: 'forbidden' });
    await assert.rejects(store.leave(bob, '/team/f'), { code: 'not_found' });
    await store.leave(bob, '/team');
    await done(store, carol, [remove('/team'), mkdir('/team')]);
    for (const who of [bob, carol]) {
      assert.equal((await store.stat(who, ['/team/f']))[0], null);
      assert.deepEqual(await store.have(who, [one.digest]), [false]);
    }
    assert.equal((await store.members(alice, '/team')).length, 1);
    assert.equal((await store.stat(alice, ['/team/f']))[0]?.size, 3);
    assert.equal(await share(store, '/team', bob), '/team');
  });

  test('when the owner deletes a shared folder it is gone for everybody, and open invitations with it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one, two]);
    await share(store, '/team', bob);
    const pending = await store.invite(alice, invitation('/team', carol));
    await done(store, alice, [remove('/team'), put('/team', two)]);
    assert.deepEqual(await listing(store, bob), []);
    assert.deepEqual(await store.have(bob, [one.digest]), [false]);
    assert.equal((await store.stat(alice, ['/team']))[0]?.kind, 'file');
    await assert.rejects(store.accept(carol, pending.id), { code: 'invitation_invalid' });
    assert.deepEqual(
      (await store.invitations(carol)).received.map(({ state }) => state),
      ['revoked'],
    );
  });

  const dave = { userId: 'd'.repeat(32), userName: 'dave', deviceId: 'd'.repeat(32) };

  test('whoever leaves takes back the invitations made there, and no others', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), mkdir('/other')]);
    await share(store, '/team', carol, 'owner');
    await done(store, carol, [mkdir('/own')]);
    const theirs = await store.invite(carol, invitation('/team', dave));
    const elsewhere = await store.invite(carol, invitation('/own', dave));
    const ofOwner = await store.invite(alice, invitation('/team', bob));
    await store.leave(carol, '/team');
    await assert.rejects(store.accept(dave, theirs.id), { code: 'invitation_invalid' });
    const sent = new Map((await store.invitations(carol)).sent.map(({ id, state }) => [id, state]));
    assert.deepEqual([sent.get(theirs.id), sent.get(elsewhere.id), sent.size], ['revoked', 'pending', 2]);
    await store.accept(dave, elsewhere.id);
    await store.accept(bob, ofOwner.id);
  });

  test('every owner of the folder sees and takes back every invitation to it, other members none', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob, 'editor');
    await share(store, '/team', carol, 'owner');
    const pending = await store.invite(alice, invitation('/team', dave));
    const openOf = async (who: typeof alice) => (await store.invitations(who)).sent.filter(({ state }) => state === 'pending');
    assert.deepEqual(await openOf(carol), [pending]);
    assert.deepEqual(await openOf(bob), []);
    await assert.rejects(store.decline(bob, pending.id), { code: 'not_found' });
    await store.decline(carol, pending.id);
    await assert.rejects(store.accept(dave, pending.id), { code: 'invitation_invalid' });
  });
}
