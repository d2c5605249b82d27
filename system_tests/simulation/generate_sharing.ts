import type { ShareAction } from './history.ts';

/** What it takes to choose: one of a list, and a yes in this share of cases. */
export type Chance = { pick<T>(list: readonly T[]): T; chance(share: number): boolean };

type Make = (by: 0 | 1, path: string) => ShareAction;

/** What a shared folder is mostly called by who accepts it. */
export const MOUNT = 'm';

/** One user invites the other, who accepts, mostly. */
export function invitation(random: Chance, names: readonly string[], by: 0 | 1): ShareAction[] {
  const path = random.chance(0.8) ? `?folder ${random.pick([0, 1, 2, 3, 4])}` : random.pick(names);
  const role = random.pick(['viewer', 'viewer', 'editor', 'editor', 'owner'] as const);
  const at = random.pick([MOUNT, MOUNT, MOUNT, `${random.pick(names)}/${MOUNT}`, random.pick(names)]);
  const invited: ShareAction = { kind: 'invite', by, path, role };
  return random.chance(0.9) ? [invited, { kind: 'accept', by: by === 0 ? 1 : 0, at }] : [invited];
}

/** Something that people do with shared folders, or with the past. */
export function shareActions(random: Chance, names: readonly string[]): ShareAction[] {
  const by = random.chance(0.7) ? 0 : 1;
  const number = (): number => random.pick([0, 0, 1, 2]);
  const share = `?share ${number()}`;
  const other = by === 0 ? 1 : 0;
  const some = (...makes: Make[]): ShareAction[] => [random.pick(makes)(by, share)];
  return random.pick([
    () => invitation(random, names, by),
    () => invitation(random, names, by),
    () => some((who, path) => ({ kind: 'role', by: who, path, role: random.pick(['viewer', 'editor', 'owner']) })),
    () => some((who, path) => ({ kind: 'role', by: who, path, role: random.pick(['viewer', 'editor']) })),
    () => some((who, path) => ({ kind: 'uninvite', by: who, path })),
    (): ShareAction[] => [{ kind: 'leave', by: other, path: share }],
    // and back again before any device has looked
    (): ShareAction[] => [{ kind: 'leave', by: other, path: share }, ...invitation(random, names, by)],
    () => some((who, path) => ({ kind: 'move', by: who, path, to: `?share ${number()}/${random.pick(names)}` })),
    () =>
      some((who, path) => ({
        kind: 'move',
        by: who,
        path,
        to: random.chance(0.5) ? random.pick(names) : `?folder ${number()}/${random.pick(names)}`,
      })),
    () => some((who, path) => ({ kind: 'remove', by: who, path })),
    () => some((who) => ({ kind: 'remove', by: who, path: `?file ${number()}` })),
    () => some((who) => ({ kind: 'undelete', by: who, nth: number() })),
    () => some((who) => ({ kind: 'undelete', by: who, nth: number() })),
    () => some((who, path) => ({ kind: 'rewind', by: who, path })),
    () => some((who) => ({ kind: 'rewind', by: who, path: `?folder ${number()}` })),
    () => some((who) => ({ kind: 'restore', by: who, path: `?file ${number()}` })),
  ])();
}
