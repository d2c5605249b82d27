import { TIMING, waitMs } from '../session/retransmission.ts';

/**
 * The chance that a request is not answered before the client gives up, computed from when it is sent again. It is of the first request of a conversation;
 * once a round trip was seen a request is sent more often.
 * @param loss of each way, independent of everything
 * @param jitter 0 to 1, as the client draws it; with 1 it waits longest
 */
export function unansweredChance({ loss, roundTripMs, jitter }: { loss: number; roundTripMs: number; jitter: number }): number {
  const latestMs = TIMING.giveUpMs - roundTripMs;
  let sent = 1;
  let atMs = 0;
  for (let repeats = 0; ; repeats += 1) {
    atMs += waitMs(null, repeats, jitter);
    const times = [atMs, atMs + TIMING.secondProbeMs].filter((ms) => ms < latestMs).length;
    if (times === 0) return (1 - (1 - loss) ** 2) ** sent;
    sent += times;
  }
}
