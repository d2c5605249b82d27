import { formatBytes } from '../../../Models/format_bytes.ts';
import { grouped } from '../../cli/format.ts';
import type { Reason } from '../reasons.ts';
import type { LeftOut } from '../scan/ignore_rules.ts';

/** What is known of the case at hand; a sentence without a detail it could name is a little more general. */
export type ReasonDetails = {
  /** Relative to the synced folder. */
  readonly path?: string | undefined;
  readonly rule?: LeftOut | undefined;
  /** Name of the other entry, or of the copy that was kept. */
  readonly other?: string | undefined;
  /** The other version was not made on another device: the server did not take this device's. */
  readonly notAllowed?: boolean | undefined;
  /** What the file system or the server said, in one line. */
  readonly error?: string | undefined;
  /** How many of how many: deletes that are held, entries that wait before this one. */
  readonly count?: number | undefined;
  readonly of?: number | undefined;
  /** Bytes. */
  readonly needed?: number | undefined;
  readonly free?: number | undefined;
};

/** One sentence what it means, one what a person can do. Names in them are of others: whoever shows them makes them visible. */
export type Explanation = { readonly meaning: string; readonly next: string };

export function explain(reason: Reason, details: ReasonDetails = {}): Explanation {
  return EXPLANATIONS[reason](details);
}

const WAIT = 'Nothing to do: it goes on by itself.';

/** A reason without a line here, or without a next step, does not compile. */
const EXPLANATIONS = {
  in_sync: () => ({ meaning: 'It is the same here and on the server.', next: 'Nothing to do.' }),
  waiting_turn: ({ count }) => ({
    meaning: count === undefined ? 'It is in the queue.' : `It is in the queue, behind ${entries(count)}.`,
    next: WAIT,
  }),
  still_changing: () => ({
    meaning: 'A program is still writing to it, so there is no whole state of it to send.',
    next: 'Nothing to do: it is sent once nothing was written for a moment. If that never comes, close what has it open.',
  }),
  sending: () => ({ meaning: 'It is on its way to the server.', next: WAIT }),
  fetching: () => ({ meaning: 'It is on its way from the server.', next: WAIT }),
  ignored: ({ rule }) =>
    rule?.line === 0
      ? { meaning: 'It belongs to Driftless itself and is never synced.', next: 'Nothing to do.' }
      : {
          meaning: `It is left out on every device, by ${lineOf(rule)}${earlier(rule)}.`,
          next: 'To have it synced, take that line out, or add one behind it that begins with "!"; what is below a folder that is left out stays out with it.',
        },
  excluded: ({ rule }) => ({
    meaning: `It is left out on this device alone, by ${rule === undefined ? 'an --exclude pattern' : `--exclude "${rule.pattern}"`}${earlier(rule)}; on the server it is as it was.`,
    next: `To have it here, run "driftless sync" for this folder again with --include ${rule === undefined ? 'and that pattern' : `"${rule.pattern}"`}.`,
  }),
  no_permission_local: ({ error }) => ({
    meaning: `This system does not let Driftless read or write it${said(error)}.`,
    next: 'Give your user the right to read and write it (chmod, chown); it is tried again by itself.',
  }),
  no_permission_remote: () => ({
    meaning: 'It is in a shared folder in which your role does not allow this change; what you have here stays, on this device alone.',
    next: 'Ask the owner for the role "editor" ("driftless members" shows who that is), and it is sent by itself; or keep your version outside of the shared folder.',
  }),
  name_not_utf8: () => ({
    meaning: 'Its name is not valid UTF-8, so it cannot be named on other devices.',
    next: 'Rename it here; for many of them "convmv" does it.',
  }),
  name_not_here: ({ error }) => ({
    meaning: `The file system here cannot hold its name, and an alias would be too long${said(error)}; on the server it is whole.`,
    next: 'Give it a shorter or plainer name on the server ("driftless mv") or on another device.',
  }),
  name_collides: ({ other }) => ({
    meaning: `Its name and ${other === undefined ? "another entry's" : `"${other}"`} are the same one where case and accents do not count, so both cannot be on the server.`,
    next: 'Rename one of the two; nothing is changed until then.',
  }),
  name_not_there: ({ error }) => ({
    meaning: `The server cannot hold its name or path: a control character, more than 255 bytes, or too deep${said(error)}.`,
    next: 'Rename it, or move it further up.',
  }),
  folder_not_empty: () => ({
    meaning:
      'The folder was deleted on one side, but on the other, here or on the server, it still holds what is not synced: what is left out here, or names the server cannot hold.',
    next: 'Delete it there too, or move what is in it elsewhere.',
  }),
  special_file: () => ({
    meaning: 'It is a socket, a pipe or a device: there is no content that could be synced.',
    next: 'Nothing to do; a line in .driftlessignore makes it disappear from this list.',
  }),
  other_file_system: () => ({
    meaning:
      'Another file system is mounted here, and a synced folder is one file system: what is mounted is not looked at, and what was synced here before stays as it is on the server.',
    next: 'Unmount it, and syncing goes on by itself; to sync what it holds, mount it outside of this folder and sync it there.',
  }),
  in_conflict: ({ other, notAllowed }) => ({
    meaning: `${notAllowed === true ? 'Your role in the shared folder did not allow a change that was made here, so it is as on the server again, and both versions were kept' : 'It was changed on two devices, and both versions were kept'}${other === undefined ? '' : `: this device's is "${other}"`}.`,
    next: 'Look at both, then decide with "driftless conflicts --keep mine|theirs|both PATH".',
  }),
  over_quota: ({ needed, free, error }) => ({
    meaning: `There is no room left for it on the server${room(needed, free)}${said(error)}.`,
    next: 'Delete something there, or ask whoever runs the server for more room; it is tried again by itself.',
  }),
  too_large: ({ needed, of }) => ({
    meaning: `It is larger than the server takes${needed === undefined || of === undefined ? '' : `: ${formatBytes(needed)}, at most ${formatBytes(of)}`}.`,
    next: 'Split it, or leave it out with a line in .driftlessignore.',
  }),
  type_refused: ({ error }) => ({
    meaning: `Whoever runs the server does not allow files of this kind${said(error)}.`,
    next: 'Leave it out with a line in .driftlessignore, give it another name, or ask whoever runs the server.',
  }),
  disk_full: ({ needed, free }) => ({
    meaning: `There is no room left for it on this disk${room(needed, free)}; sending goes on.`,
    next: 'Make room here, or leave folders out on this device with --exclude; it is tried again by itself.',
  }),
  held_deletes: ({ count, of }) => ({
    meaning: `${count === undefined ? 'Many entries' : `${entries(count)}${of === undefined ? '' : ` of ${grouped(of)}`}`} would be deleted at once, so no delete is carried out.`,
    next: 'If that is meant, let them go with "driftless approve"; if not, bring the files back, and nothing is deleted.',
  }),
  held_root: ({ error }) => ({
    meaning: `The synced folder is missing, was emptied or replaced, or is on another disk than before${said(error)}, so nothing is done.`,
    next: 'Mount or move it back, and it goes on by itself; if it is meant to be so, say so with "driftless approve".',
  }),
  held_server: ({ count }) => ({
    meaning: `The server holds ${count === undefined ? 'many deletes' : `${grouped(count)} deletes`} of this device until somebody confirms them.`,
    next: 'If they are meant, let them go with "driftless approve".',
  }),
  paused: () => ({ meaning: 'Syncing of this folder is paused.', next: 'Go on with "driftless resume".' }),
  offline: ({ error }) => ({
    meaning: `The server does not answer${said(error)}.`,
    next: 'Nothing to do once the connection is back; "driftless whoami" shows whether it is.',
  }),
  local_error: ({ error }) => ({
    meaning: `The file system refused${said(error)}.`,
    next: 'Look at the disk if this does not pass: it is tried again by itself, and nothing is deleted for it.',
  }),
  remote_error: ({ error }) => ({
    meaning: `The server refused${said(error)}.`,
    next: 'It is tried again by itself; if this does not pass, whoever runs the server finds more in its log.',
  }),
} as const satisfies Record<Reason, (details: ReasonDetails) => Explanation>;

function said(error: string | undefined): string {
  return error === undefined || error === '' ? '' : ` (${error})`;
}

function earlier(rule: LeftOut | undefined): string {
  return rule?.isEarlier === true ? ', which means the place where its folder was before' : '';
}

function lineOf(rule: LeftOut | undefined): string {
  return rule === undefined ? 'a line of .driftlessignore' : `line ${rule.line} of .driftlessignore: "${rule.pattern}"`;
}

function room(needed: number | undefined, free: number | undefined): string {
  const parts = [
    needed === undefined ? null : `it needs ${formatBytes(needed)}`,
    free === undefined ? null : `${formatBytes(free)} are free`,
  ];
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? '' : `: ${known.join(', ')}`;
}

function entries(count: number): string {
  return count === 1 ? '1 entry' : `${grouped(count)} entries`;
}
