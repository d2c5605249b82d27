import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTICE_KINDS, type NoticeDetails } from '../../Models/notices.ts';
import { noticeText } from './notice_text.ts';

const link = { link: '12', maker: 'bob', mode: 'both', path: '/team' };
const SAID: readonly (readonly [kind: string, details: NoticeDetails, text: string])[] = [
  [
    'invited',
    { id: '7', folder: 'team', from: 'ann', role: 'editor', message: null },
    'ann invites you to team as editor; "accept 7" takes it',
  ],
  [
    'invited',
    { id: '7', folder: 'team', from: 'ann', role: 'viewer', message: 'hi' },
    'ann invites you to team as viewer: hi; "accept 7" takes it',
  ],
  ['answered', { id: '7', folder: 'team', from: 'ann', to: 'bob', state: 'declined' }, 'bob declined the invitation to team by ann'],
  [
    'answered',
    { id: '7', folder: 'team', from: 'ann', to: 'bob', state: 'revoked' },
    'the invitation of bob to team, by ann, was taken back',
  ],
  ['role', { path: '/team', role: 'viewer' }, 'you are viewer of /team now'],
  ['link', { ...link, state: 'open' }, 'bob made a public link (both) to /team; "unlink 12" ends it'],
  ['link', { ...link, path: null, state: 'revoked' }, 'the public link 12 of bob was revoked'],
  ['quota', { percent: 80, used: 850, quota: 1000 }, '850 B of 1.0 kB are used, 80 % or more'],
  ['held', { device: 'd1', deleted: 300, living: 900 }, 'deletes of the d1 wait for "approve": 300 of 900 files'],
  ['device', { device: 'd1', name: 'phone' }, 'phone is new among your devices'],
  ['device', { device: 'd1', name: '', revoked: true }, 'd1 was revoked'],
  ['webhook', { webhook: '3', host: 'example.org', state: 'active' }, 'a webhook to example.org was added'],
  ['webhook', { webhook: '3', host: 'example.org', state: 'removed' }, 'a webhook to example.org was removed'],
  [
    'webhook',
    { webhook: '3', host: 'example.org', state: 'failed', reason: 'answered 410: gone' },
    'the webhook to example.org is sent nothing more: answered 410: gone',
  ],
  ['of a later version', { some: 'fact' }, '{"some":"fact"}'],
];

test('each kind of notice is a sentence for a person, and one that is not known is shown as it is', () => {
  for (const [kind, details, text] of SAID)
    assert.equal(
      noticeText(kind, details, (device) => `the ${device}`),
      text,
    );
  const said = new Set(SAID.map(([kind]) => kind));
  assert.deepEqual(
    NOTICE_KINDS.filter((kind) => !said.has(kind)),
    [],
  );
});
