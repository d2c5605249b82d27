import type { z } from 'zod';
import type { Entry } from '../Models/operations.ts';
import { isoFromMicroseconds, type RestChange, type RestEntry } from '../Models/rest.ts';
import type { RestInvitation } from '../Models/rest_sharing.ts';
import type { Change } from '../Storage/metadata.ts';
import type { Invitation } from '../Storage/sharing.ts';

const OWNER_EXECUTES = 0o100;

/** Stored shapes as the REST routes tell them. */

export function restEntry(entry: Entry): z.input<typeof RestEntry> {
  return {
    path: entry.path,
    kind: entry.kind,
    size: entry.size,
    mtime: isoFromMicroseconds(entry.mtimeUs),
    version: entry.version,
    digest: hexOrNull(entry.digest),
    executable: entry.kind === 'file' && (entry.mode & OWNER_EXECUTES) !== 0,
    target: entry.target,
    shared: entry.shared,
  };
}

export function restChange(change: Change): z.input<typeof RestChange> {
  return {
    cursor: change.cursor,
    kind: change.kind,
    path: change.path,
    from: change.fromPath,
    version: change.version,
    size: change.size,
    digest: hexOrNull(change.digest),
    user: change.user,
    device: change.device,
    at: isoFromMilliseconds(change.atMs),
    ...(change.details !== undefined && { details: change.details }),
  };
}

/** A change as it is told to those who follow: it says what it is in `kind`; notices are types of their own. */
export function eventShape(change: Change): z.input<typeof RestChange> & { readonly type: string } {
  return { type: change.details === undefined ? 'changed' : change.kind, ...restChange(change) };
}

export function restInvitation(invitation: Invitation): z.input<typeof RestInvitation> {
  return {
    id: invitation.id,
    folder: invitation.folderName,
    from: invitation.from,
    to: invitation.to,
    role: invitation.role,
    state: invitation.state,
    message: invitation.message,
    createdAt: isoFromMilliseconds(invitation.createdAtMs),
    expiresAt: isoOrNull(invitation.expiresAtMs),
    answeredAt: isoOrNull(invitation.answeredAtMs),
  };
}

export function isoFromMilliseconds(ms: number): string {
  return new Date(ms).toISOString();
}

export function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : isoFromMilliseconds(ms);
}

function hexOrNull(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
