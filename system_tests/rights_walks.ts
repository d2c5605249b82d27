import { type Coverage, type WalkOptions, walkRights } from '../Server/testing/rights_walk.ts';
import { openServer, type ServerFixture, type User } from '../Server/testing/server_fixture.ts';
import type { DatabaseAddress } from '../Storage/database.ts';
import { openFollower } from '../Storage/testing/feed_follower.ts';
import { quickFolder } from '../Storage/testing/quick_folder.ts';

/** Changes between two comparisons of what a device knows that follows a user's feed with what is there. */
const FOLLOWED = 100;

export type Walk = Pick<WalkOptions, 'seed' | 'steps' | 'probes' | 'afterwards'> & { readonly metadata?: DatabaseAddress };

/** One walk on a server of its own. @throws what was not as the model says, with the seed and the last steps */
export async function walk({ metadata, ...options }: Walk): Promise<Coverage> {
  let clockMs = 0;
  /** Visitors of links have all the time there is between two requests, so that none is refused for asking too often. */
  const monotonicMs = (): number => {
    clockMs += 3_600_000;
    return clockMs;
  };
  await using server = await openServer({ folder: quickFolder(), monotonicMs, ...(metadata === undefined ? {} : { metadata }) });
  return await walkRights({ ...options, server, afterChange: followAll(server) });
}

/** A device of each user that follows all of theirs. */
function followAll({ metadata }: ServerFixture): (done: number, users: readonly User[]) => Promise<void> {
  let followers: ReturnType<typeof openFollower>[] = [];
  return async (done, users) => {
    if (followers.length === 0) {
      followers = users.map(({ id, name }) => openFollower(metadata, { userId: id, userName: name, deviceId: '3'.repeat(32) }, '/'));
    }
    if (done % FOLLOWED === 0) for (const follower of followers) await follower.check();
  };
}
