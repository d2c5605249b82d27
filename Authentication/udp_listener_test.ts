import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import pino from 'pino';
import { kernelDrops } from './kernel_drops.ts';
import { listen } from './udp_listener.ts';

const NO_TABLE = existsSync('/proc/net/udp') ? false : 'the kernel does not tell of dropped datagrams';

test('what the kernel dropped because the daemon was too slow is counted and said in the log', { skip: NO_TABLE }, async (t) => {
  let received = 0;
  const said: { dropped?: number }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void said.push(JSON.parse(line)) });
  const daemon = {
    async receive() {
      received += 1;
      return null;
    },
    admitted: () => 0,
    sweep: async () => undefined,
  };
  for (const host of ['127.0.0.1', '::1']) {
    received = 0;
    said.length = 0;
    const listening = await listen(daemon, { host, port: 0 }, log);
    let drops: number;
    try {
      assert.equal(await kernelDrops({ address: host, family: '', port: listening.port }), 0);
      const sender = createSocket(host === '::1' ? 'udp6' : 'udp4');
      sender.connect(listening.port, host);
      await once(sender, 'connect');
      const sent = 20_000; // as much as fits into no buffer; the loop does not turn meanwhile
      const bytes = Buffer.alloc(1200);
      for (let n = 0; n < sent; n += 1) sender.send(bytes);
      await new Promise<void>((resolve) => sender.close(() => resolve()));
      const counting = async (): Promise<number> => {
        const counted = (await kernelDrops({ address: host, family: '', port: listening.port })) ?? 0;
        assert.equal(received + counted, sent);
        return counted;
      };
      drops = await t.waitFor(counting, { timeout: 20_000 });
    } finally {
      await listening.close();
    }
    assert.ok(drops > 0);
    assert.deepEqual(
      said.map(({ dropped }) => dropped),
      [drops],
    );
  }
  assert.equal(await kernelDrops({ address: '127.0.0.1', family: '', port: 1 }), null); // nobody has that port
});
