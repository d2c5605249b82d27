import type { DeviceOptions, History, ShareAction, Step, UserAction } from './history.ts';

const PLAIN: DeviceOptions = { foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 0.001, skewMs: 0 };
const PAUSE_MS = 60_000;
const HISTORY = { seed: 1, tickMs: 0.01, devices: [PLAIN, { ...PLAIN, user: 1 }] } as const;

const user = (device: number, action: UserAction): Step => ({ kind: 'user', device, action, afterMs: PAUSE_MS });
const write = (device: number, path: string, id: number): Step => user(device, { kind: 'write', path, content: { id, size: 60 } });
const remove = (device: number, path: string): Step => user(device, { kind: 'remove', path });
const move = (device: number, path: string, to: string): Step => user(device, { kind: 'move', path, to });
const share = (action: ShareAction): Step => ({ kind: 'share', action, afterMs: PAUSE_MS });
const pass = (device: number): Step => ({ kind: 'pass', device, hinted: false, faults: [], afterMs: PAUSE_MS });
const settle: Step = { kind: 'settle', afterMs: PAUSE_MS };

/** `s` of the first user, with three files, is `m` of the second. */
function shared(role: 'viewer' | 'editor', ...steps: Step[]): History {
  const begin = [write(0, 's/f', 1), write(0, 's/g', 2), write(0, 's/deep/h', 3), write(0, 'mine', 4), write(1, 'own/o', 5), settle];
  return { ...HISTORY, steps: [...begin, ...given(role), settle, ...steps, settle] };
}

const given = (role: 'viewer' | 'editor'): Step[] => [
  share({ kind: 'invite', by: 0, path: 's', role }),
  share({ kind: 'accept', by: 1, at: 'm' }),
];
const leave = share({ kind: 'leave', by: 1, path: 'm' });
const uninvite = share({ kind: 'uninvite', by: 0, path: 's' });
const role = (which: 'viewer' | 'editor'): Step => share({ kind: 'role', by: 0, path: 's', role: which });

/** Two users with a device each. */
export const SHARED: Readonly<Record<string, History>> = {
  'a folder that was left is had again before any device has looked': shared(
    'editor',
    ...[leave, remove(0, 's/g'), remove(0, 's/deep'), write(0, 's/new', 10), pass(0), write(1, 'm/g', 11), ...given('viewer')],
  ),
  'who may only read it changes, deletes, moves and adds all the same': shared(
    'viewer',
    ...[write(1, 'm/f', 10), write(1, 'm/new', 11), remove(1, 'm/g'), move(1, 'm/deep', 'own/deep'), move(1, 'own/o', 'm/o'), settle],
    ...[write(0, 's/f', 12), settle, role('editor'), settle, write(1, 'm/f', 13), remove(1, 'm/g'), role('viewer')],
  ),
  'it is taken away from who has changed something in it': shared(
    'editor',
    ...[write(1, 'm/sent', 10), pass(1), write(1, 'm/f', 11), move(1, 'own/o', 'm/o'), move(1, 'm/deep', 'own/deep'), uninvite],
  ),
  'it is left by who has changed something in it': shared('editor', write(1, 'm/f', 10), remove(1, 'm/g'), leave),
  'it is gone back to what it was': shared(
    'editor',
    ...[write(0, 's/f', 10), remove(0, 's/g'), pass(0), pass(1), write(1, 'm/f', 11), pass(1), write(1, 'm/new', 12)],
    share({ kind: 'rewind', by: 0, path: 's' }),
  ),
  'it goes into another one, which is taken away, and out again': shared(
    'editor',
    ...[write(0, 'around/x', 10), pass(0), share({ kind: 'invite', by: 0, path: 'around', role: 'viewer' })],
    ...[share({ kind: 'accept', by: 1, at: 'n' }), share({ kind: 'move', by: 0, path: 's', to: 'around/s' }), settle],
    ...[write(1, 'n/x', 11), write(1, 'n/s/f', 12), share({ kind: 'uninvite', by: 0, path: 'around' }), settle],
    share({ kind: 'move', by: 0, path: 'around/s', to: 's' }),
  ),
  'a folder is moved out of it, and it is deleted': shared(
    'viewer',
    move(0, 's/deep', 'deep'),
    remove(0, 's'),
    settle,
    write(0, 'deep/h', 10),
  ),
  'what may not be sent is named where it is': shared('viewer', write(1, 'm/new', 10), settle, move(1, 'm', 'own/n')),
  'what may not be moved into it has another one in its place': shared('viewer', move(1, 'own', 'm/a/b'), write(1, 'own/own/x', 10)),
  'its owner deletes it, and takes that back': shared(
    'viewer',
    ...[write(1, 'm/f', 10), share({ kind: 'remove', by: 0, path: 's' }), settle, share({ kind: 'undelete', by: 0, nth: 0 })],
  ),
};
