import type { z } from 'zod';
import type { RestLink, RestLinkAccess } from '../Models/rest_links.ts';
import type { LoggedAccess, ManagedLink } from '../Storage/links.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

/** Stored links as the REST routes tell them. */

export function restLink({ createdAtMs, expiresAtMs, ...link }: ManagedLink): z.input<typeof RestLink> {
  return {
    ...link,
    createdAt: isoFromMilliseconds(createdAtMs),
    expiresAt: expiresAtMs === null ? null : isoFromMilliseconds(expiresAtMs),
  };
}

export function restLinkAccess({
  action,
  address,
  path,
  firstAtMs,
  lastAtMs,
  requests,
  bytes,
}: LoggedAccess): z.input<typeof RestLinkAccess> {
  return { action, address, path, firstAt: isoFromMilliseconds(firstAtMs), lastAt: isoFromMilliseconds(lastAtMs), requests, bytes };
}
