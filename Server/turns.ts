import { AppError } from '../Models/errors.ts';

/** Does some work for a user in a turn of theirs, or refuses. @throws AppError `too_many_requests`, `busy`, and what the work throws */
export type Turns = <T>(userId: string, work: () => Promise<T>) => Promise<T>;

/**
 * For what looks at much, or blocks: so many run at the same time, and of one user so many, so that nobody takes all turns.
 */
export function createTurns({ most, each }: { readonly most: number; readonly each: number }): Turns {
  const running = new Map<string, number>(); // by user
  let all = 0;
  return async (userId, work) => {
    const own = running.get(userId) ?? 0;
    if (own >= each) throw new AppError('too_many_requests', `one user may ask for ${each} such answers at the same time`);
    if (all >= most) throw new AppError('busy', 'too much of this is going on');
    running.set(userId, own + 1);
    all += 1;
    try {
      return await work();
    } finally {
      all -= 1;
      const left = (running.get(userId) ?? 1) - 1;
      if (left === 0) running.delete(userId);
      else running.set(userId, left);
    }
  };
}
