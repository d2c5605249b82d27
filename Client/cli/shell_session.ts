import { AppError } from '../../Models/errors.ts';
import { type EndReason, endText } from '../../Models/session_ends.ts';
import type { Driftless } from '../client.ts';

export type ShellSessionDeps = {
  /** The login of the profile; `interactive`: a session of its own beside it. */
  readonly resume: (options: { readonly interactive: boolean }) => Promise<Driftless>;
  readonly tell: (line: string) => void;
};

/**
 * The shell's own session, begun with the first command that needs it. The daemon ends it when nothing is done for too long; the person is told, and then
 * only `again` begins another. What is the device's (its login, a folder that syncs) stays.
 */
export type ShellSession = {
  /** @throws AppError as `resume`; with the reason why the last one has ended */
  open(): Promise<Driftless>;
  /** Another login of the profile is the one, or none. */
  replace(next: Driftless | null): Promise<void>;
  again(): Promise<void>;
  /** While a command runs, something is done. */
  during<T>(command: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

const ASK_MS = 1000;
const ASKED_MAX = 60; // times; then whoever comes next will see

export function createShellSession({ resume, tell }: ShellSessionDeps): ShellSession {
  let current: Promise<Driftless> | null = null;
  let ended: EndReason | null = null;
  let timer: NodeJS.Timeout | undefined;
  let watching = 0; // counts what is watched, so that an answer about an earlier time does nothing

  async function begin(): Promise<Driftless> {
    try {
      return await resume({ interactive: true });
    } catch (error) {
      // The login of the profile may still do without the daemon.
      if (error instanceof AppError && error.code === 'auth_unreachable') return resume({ interactive: false });
      throw error;
    }
  }

  function begun(): Promise<Driftless> {
    const beginning = begin();
    beginning.catch(() => {
      if (current === beginning) current = null; // the next command tries again
    });
    return beginning;
  }

  async function drop(): Promise<void> {
    clearTimeout(timer);
    watching += 1;
    const previous = await current?.catch(() => null);
    current = null;
    await previous?.close();
  }

  async function opened(): Promise<Driftless | null> {
    return (await current?.catch(() => null)) ?? null;
  }

  function watch(client: Driftless, idleMs: number): void {
    watching += 1;
    const own = watching;
    const ask = async (asked: number): Promise<void> => {
      const reason = await client.ended().catch(() => null);
      if (own !== watching) return;
      if (reason !== null) {
        ended = reason;
        tell(`${endText(reason)}; "connect" begins another`);
        await drop();
      } else if (asked < ASKED_MAX) timer = setTimeout(() => void ask(asked + 1), ASK_MS).unref();
    };
    timer = setTimeout(() => void ask(1), idleMs).unref();
  }

  async function replace(next: Driftless | null): Promise<void> {
    ended = null;
    await drop();
    await next?.close(); // the profile has it; the shell's own begins beside it
  }

  return {
    open() {
      if (ended !== null) return Promise.reject(new AppError('session_unknown', endText(ended), { reason: ended }));
      current ??= begun();
      return current;
    },
    replace,
    async again() {
      await replace(null);
      current = begun();
      await current;
    },
    async during(command) {
      clearTimeout(timer);
      watching += 1;
      (await opened())?.heard();
      const beating = setInterval(() => void opened().then((client) => client?.heard()), ASK_MS / 4);
      try {
        return await command();
      } finally {
        clearInterval(beating);
        const client = await opened();
        client?.heard();
        if (client !== null && client.idleMs !== null) watch(client, client.idleMs);
      }
    },
    close: drop,
  };
}
