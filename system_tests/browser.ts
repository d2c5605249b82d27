import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real Chromium without a screen, spoken to over its debugging protocol. */
export type Browser = AsyncDisposable & {
  /** A new tab. */
  open(): Promise<Tab>;
};
export type Tab = {
  call(method: string, parameters?: object): Promise<Record<string, unknown>>;
  /** Goes there and waits until it has loaded, or until it turns out to be a download. */
  visit(url: string): Promise<void>;
  /** The value of an expression on the page, or what it promises. */
  value(expression: string): Promise<unknown>;
};

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
const ARGUMENTS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars', '--remote-debugging-port=0'];

/** @throws when there is none: this is a test that must not pass by not running */
export async function openBrowser(): Promise<Browser> {
  const stack = new AsyncDisposableStack();
  const profile = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-browser-')), (path) =>
    rm(path, { recursive: true, force: true, maxRetries: 5 }),
  );
  for (const program of PROGRAMS) {
    const endpoint = await start(program, profile, stack);
    if (endpoint !== null) return connect(endpoint, stack);
  }
  await stack.disposeAsync();
  throw new Error('this test needs a Chromium: install the Debian package "chromium"');
}

async function start(program: string, profile: string, stack: AsyncDisposableStack): Promise<string | null> {
  const child = spawn(program, [...ARGUMENTS, `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const gone = new Promise<null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', () => resolve(null));
  });
  const endpoint = await Promise.race([
    gone,
    new Promise<string>((resolve) => {
      let said = '';
      child.stderr.on('data', (piece: Buffer) => {
        said += piece.toString();
        const [, address] = /DevTools listening on (ws:\S+)/.exec(said) ?? [];
        if (address !== undefined) resolve(address);
      });
    }),
  ]);
  if (endpoint !== null)
    stack.defer(async () => {
      child.kill();
      await gone;
    });
  return endpoint;
}

type Message = {
  id?: number;
  sessionId?: string;
  method?: string;
  params?: object;
  result?: Record<string, unknown>;
  error?: { message: string };
};

async function connect(endpoint: string, stack: AsyncDisposableStack): Promise<Browser> {
  const socket = new WebSocket(endpoint);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  stack.defer(() => socket.close());
  const answers = new Map<number, (message: Message) => void>();
  const listeners = new Set<(message: Message) => void>();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    answers.get(message.id ?? 0)?.(message);
    answers.delete(message.id ?? 0);
    for (const listen of listeners) listen(message);
  };
  let last = 0;
  const call = (method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> => {
    last += 1;
    const id = last;
    socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    return new Promise((resolve, reject) => {
      answers.set(id, ({ result, error }) =>
        error === undefined ? resolve(result ?? {}) : reject(new Error(`${method}: ${error.message}`)),
      );
    });
  };
  return {
    async open() {
      const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = (await call('Target.attachToTarget', { targetId, flatten: true })) as { sessionId: string };
      const here: Tab['call'] = (method, parameters) => call(method, parameters, sessionId);
      await here('Page.enable');
      await here('Browser.setDownloadBehavior', { behavior: 'deny' });
      return {
        call: here,
        async visit(url) {
          const loaded = new Promise<void>((resolve) => {
            const listen = (message: Message): void => {
              if (message.sessionId !== sessionId || message.method !== 'Page.loadEventFired') return;
              listeners.delete(listen);
              resolve();
            };
            listeners.add(listen);
          });
          const { isDownload, errorText } = await here('Page.navigate', { url });
          if (isDownload !== true && errorText === undefined) await loaded;
        },
        async value(expression) {
          const { result } = (await here('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })) as {
            result: { value: unknown };
          };
          return result.value;
        },
      };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
