import { AppError } from '../Models/errors.ts';

/** `each`: of one user, or whoever it is for; half of them if not given. */
type Most = { readonly most: number; readonly each?: number };

/** Takes a place for somebody. @returns what gives it back, once; or why there is none: their own are taken, or all */
export type Shares = (whose: string) => (() => void) | 'too_many_requests' | 'busy';
/** As `Shares`. @throws AppError `too_many_requests`, `busy` */
export type Places = (whose: string) => () => void;

/** Does some work for a user in a turn of theirs, or refuses. @throws AppError `too_many_requests`, `busy`, and what the work throws */
export type Turns = <T>(userId: string, work: () => Promise<T>) => Promise<T>;

/** So many places there are, and for each so many, so that nobody takes all. */
export function createShares({ most, each = Math.ceil(most / 2) }: Most): Shares {
  const taken = new Map<string, number>(); // by whose
  let all = 0;
  return (whose) => {
    const own = taken.get(whose) ?? 0;
    if (own >= each) return 'too_many_requests';
    if (all >= most) return 'busy';
    taken.set(whose, own + 1);
    all += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      all -= 1;
      const left = (taken.get(whose) ?? 1) - 1;
      if (left === 0) taken.delete(whose);
      else taken.set(whose, left);
    };
  };
}

const WHY = {
  too_many_requests: 'one may do only so much of this at the same time',
  busy: 'too much of this is going on',
} as const;

export function createPlaces(most: Most): Places {
  const take = createShares(most);
  return (whose) => {
    const taken = take(whose);
    if (typeof taken === 'string') throw new AppError(taken, WHY[taken]);
    return taken;
  };
}

/**
 * For what looks at much, or blocks: so many run at the same time, and of one user so many, so that nobody takes all turns.
 */
export function createTurns(most: Most): Turns {
  const take = createPlaces(most);
  return async (userId, work) => {
    const leave = take(userId);
    try {
      return await work();
    } finally {
      leave();
    }
  };
}
