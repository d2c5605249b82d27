/** Every entry of a synced folder has exactly one state, and one reason for it where it is not simply in sync. */
export const STATES = ['synced', 'waiting', 'working', 'held', 'excluded', 'conflict', 'failed'] as const;
export type EntryState = (typeof STATES)[number];

export const REASONS = [
  'in_sync',
  'waiting_turn', // in the queue
  'still_changing', // written to while it was read, or too lately
  'sending',
  'fetching',
  'ignored', // by a line of .driftlessignore
  'excluded', // by --exclude on this device
  'no_permission_local', // the system does not let it be read or written
  'no_permission_remote', // the role in a shared folder does not allow it
  'name_not_utf8',
  'name_not_here', // this file system cannot hold the name, and no alias was possible
  'name_collides', // another entry's name is the same one where case or accents do not count
  'name_not_there', // the server cannot hold it: control characters, too long, too deep
  'folder_not_empty', // deleted on one side, but what is in it on the other is not synced
  'special_file', // socket, pipe, device
  'other_file_system', // another one is mounted there
  'in_conflict', // a copy was kept: see conflicts
  'over_quota',
  'too_large',
  'type_refused', // an administrator does not allow files of this kind
  'disk_full',
  'held_deletes', // a guard: many deletes at once, waiting for approve
  'held_root', // a guard: the folder is missing, empty, replaced or on another device
  'held_server', // the server holds many deletes at once
  'paused',
  'offline', // the server does not answer
  'local_error', // the file system refused
  'remote_error', // the server refused
] as const;
export type Reason = (typeof REASONS)[number];
