import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import type { PublishTo } from '../client.ts';
import { privateFile, waitForLock } from '../session/private_file.ts';

/** What was published last under a name, so that `connect` of the shell does it again. */
export type PublishSetting = {
  readonly user: string;
  readonly server: string;
  readonly name: string;
  readonly local: string;
  readonly to: PublishTo;
};

/** Those of all users of the profile. @throws AppError `local_io` when they cannot be read */
export async function publishSettings(home: string): Promise<PublishSetting[]> {
  return (await fileOf(home).read()) ?? [];
}

/** @param next `null` forgets it */
export async function rememberPublished(
  home: string,
  which: Pick<PublishSetting, 'user' | 'server' | 'name'>,
  next: Pick<PublishSetting, 'local' | 'to'> | null,
): Promise<void> {
  await mkdir(join(home, 'publish'), { recursive: true, mode: 0o700 });
  using _ = await waitForLock(join(home, 'publish', 'settings.lock'));
  const others = (await publishSettings(home)).filter(
    ({ user, server, name }) => user !== which.user || server !== which.server || name !== which.name,
  );
  await fileOf(home).write(next === null ? others : [...others, { ...which, ...next }]);
}

function fileOf(home: string) {
  const path = join(home, 'publish', 'settings.json');
  return privateFile(path, (text): PublishSetting[] => {
    const value: unknown = parsed(text);
    if (Array.isArray(value) && value.every(isSetting)) return value;
    throw new AppError('local_io', `${path} is damaged: remove it`);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isSetting(value: unknown): value is PublishSetting {
  if (typeof value !== 'object' || value === null) return false;
  const { user, server, name, local, to } = value as Partial<Record<keyof PublishSetting, unknown>>;
  return [user, server, name, local].every((text) => typeof text === 'string') && isTo(to);
}

function isTo(to: unknown): to is PublishTo {
  if (Array.isArray(to)) return to.every((name) => typeof name === 'string');
  return to === 'everyone' || (typeof to === 'object' && to !== null && 'membersOf' in to && typeof to.membersOf === 'string');
}
