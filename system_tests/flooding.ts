import { type ChildProcess, fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { client as opaque, ready } from '@serenity-kit/opaque';
import { type BareClient, directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import { privateEnvironment, type Running, startProcess } from '../processes.ts';

export type FloodDaemonState = {
  readonly admitted: number; // datagrams that came to any curve operation
  readonly rssBytes: number;
  readonly lateMs: number; // the daemon's event loop, worst hundredth since it was asked last
};
export type Sent = { readonly sent: number; readonly answered: number; readonly seconds: number };
export type Logins = { readonly tried: number; readonly succeeded: number; readonly p50Ms: number; readonly p99Ms: number };

const WHO = { username: 'alice', password: 'correct horse battery' };

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function answer<Message>(child: ChildProcess): Promise<Message> {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the process ended (${code})`)));
  const [message] = await Promise.race([once(child, 'message'), ended]);
  return message as Message;
}

/** One daemon and one file server on a folder, each a process of its own, and an account to log in with. */
export async function openFlooded(folder: string) {
  await ready;
  const env = await privateEnvironment(folder, process.env);
  const daemon = fork(new URL('flood_daemon.ts', import.meta.url), [join(folder, 'data')]);
  const { address } = await answer<{ address: string }>(daemon);
  const server: Running = await startProcess('server', { env, folder });
  const client: BareClient = openBareClient();
  const first = await client.exchange(address);
  await client.register(first, WHO);
  const { grant } = await client.login(first, WHO);
  first.close();

  async function login(): Promise<number> {
    const exchange = await client.exchange(address);
    const begun = performance.now();
    try {
      await client.login(exchange, WHO, grant);
      return performance.now() - begun;
    } finally {
      exchange.close();
    }
  }

  return {
    state(): Promise<FloodDaemonState> {
      const state = answer<FloodDaemonState>(daemon);
      daemon.send('state');
      return state;
    },
    receiveForged(forged: number, seed: number): Promise<FloodDaemonState> {
      const state = answer<FloodDaemonState>(daemon);
      daemon.send({ forged, seed });
      return state;
    },
    /** A flood over sockets, which goes on while `meanwhile` is done. */
    async flood<Result>(flood: { count: number; perSecond: number }, meanwhile: () => Promise<Result>): Promise<Sent & { result: Result }> {
      const port = address.split(':')[1] ?? '';
      const sender = fork(new URL('flood_sender.ts', import.meta.url), [port, String(flood.count), String(flood.perSecond)]);
      const [sent, result] = await Promise.all([answer<Sent>(sender), meanwhile()]);
      return { ...sent, result };
    },
    /** One login after another from 127.0.0.1, with `gapMs` between two. */
    async logins(count: number, gapMs = 0): Promise<Logins> {
      const times: number[] = [];
      for (let n = 0; n < count; n += 1) {
        await login().then(
          (ms) => times.push(ms),
          () => undefined,
        );
        await sleep(gapMs);
      }
      return { tried: count, succeeded: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
    },
    /** Requests to the file server, one every 5 ms for so long. @returns milliseconds that the slowest hundredth takes */
    async httpP99Ms(seconds: number): Promise<number> {
      const times: number[] = [];
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) {
        const begun = performance.now();
        const response = await fetch(new URL('/v1/whoami', server.url), { headers: { authorization: `Bearer ${grant.ticket}` } });
        if (response.status !== 200) throw new Error(`whoami: ${response.status}`);
        await response.arrayBuffer();
        times.push(performance.now() - begun);
        await sleep(5);
      }
      return percentile(times, 0.99);
    },
    /** So many addresses that do have their cookie begin logins as fast as they can, until `meanwhile` is done. @returns how many of their HELLOs were answered */
    async floodWithCookies<Result>(addresses: number, meanwhile: () => Promise<Result>): Promise<{ challenged: number; result: Result }> {
      let isOver = false;
      let challenged = 0;
      const ke1 = Buffer.from(opaque.startLogin({ password: 'a guess' }).startLoginRequest, 'base64url');
      const port = Number(address.split(':')[1]);
      const attackers = Array.from({ length: addresses }, async (_, n) => {
        const socket = createSocket('udp4');
        socket.bind(0, `127.0.9.${n + 1}`);
        await once(socket, 'listening');
        const exchange = directExchange(async (up) => {
          socket.send(up, port, '127.0.0.1');
          const heard = once(socket, 'message').then(([bytes]) => bytes as Buffer);
          return Promise.race([heard, sleep(1000, null)]);
        });
        for (let guess = 0; !isOver; guess += 1) {
          await client.challenge(exchange, { ke1, name: `victim-${n}-${guess % 10}` }).then(
            () => {
              challenged += 1;
            },
            () => sleep(50 * Math.random()),
          );
        }
        socket.close();
      });
      const result = await meanwhile().finally(() => {
        isOver = true;
      });
      await Promise.all(attackers);
      return { challenged, result };
    },
    async close(): Promise<void> {
      await client[Symbol.asyncDispose]();
      await server.stop();
      const ended = once(daemon, 'exit');
      daemon.send('end');
      await ended;
    },
  };
}
