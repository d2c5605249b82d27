import { AppError } from '../Models/errors.ts';
import { readServerPins } from '../Storage/server_pins.ts';

const LOOK_MS = 1000;
const TOLD_AGAIN_MS = 60_000;

export type KnownPins = Disposable & { readonly current: () => readonly Uint8Array[] };

/** Of a server whose clients have nothing to compare. */
export const NO_PINS: KnownPins = { current: () => [], [Symbol.dispose]: () => undefined };

/**
 * What the server says of its keys, looked at every second. Until it has said something nobody is told where to go: an address without pins would
 * be one for plain HTTP.
 */
export function watchPins(dataFolder: string, onFailure: (error: unknown) => void): KnownPins {
  let known: readonly Uint8Array[] = [];
  let toldAtMs = Number.NEGATIVE_INFINITY;
  const look = async (): Promise<void> => {
    try {
      known = (await readServerPins(dataFolder)).map((pin) => Buffer.from(pin, 'base64'));
    } catch (error) {
      if (Date.now() - toldAtMs < TOLD_AGAIN_MS) return;
      toldAtMs = Date.now();
      onFailure(error);
    }
  };
  void look();
  const timer = setInterval(() => void look(), LOOK_MS);
  return {
    current() {
      if (known.length === 0) throw new AppError('busy', 'the file server has not said which certificate it has: does it run?');
      return known;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
