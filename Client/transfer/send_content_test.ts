import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { signatureOf } from '../../Models/delta.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { END_FRAME, scriptedHttp } from '../testing/scripted_http.ts';
import { sha256 } from './local_files.ts';
import { sendContent } from './send_content.ts';

test('a file with other content altogether is not searched to its end for what it has in common with the old one', async () => {
  const content = randomBytes(40 << 20);
  const base = Array.from({ length: 60 }, () => ({ digest: randomBytes(DIGEST_BYTES), length: 1 << 20 }));
  const signature = signatureOf(randomBytes(1 << 20), sha256);
  let described = 0;
  const http = scriptedHttp((route, body) => {
    const count = (body as Buffer).length / DIGEST_BYTES;
    if (route === ROUTES.have) return [Buffer.alloc(count)];
    described += count;
    const writer = new FrameWriter();
    for (let i = 0; i < count; i += 1) writer.begin(FRAME.signature).bytes(signature).finish();
    return [writer.take(), END_FRAME];
  });
  let sent = 0;
  const stream = {
    send: async (bytes: Uint8Array, done?: () => void): Promise<void> => {
      sent += bytes.length;
      done?.();
    },
  };
  const source = {
    read: () => assert.fail('read ahead'),
    readAhead: async (target: Uint8Array, position: number): Promise<number> => content.copy(target, 0, position, position + target.length),
  };
  const { chunks } = await sendContent({ http, compress: false, deltas: true, resumed: false }, () => stream, source, base);
  assert.ok(sent >= content.length);
  assert.ok(chunks.length > 24 && described < 20, `${described} of ${chunks.length} old chunks were asked about`);
});

test('what is said ahead of a file is said once, and not where its first chunk is held', async () => {
  const content = randomBytes(20 << 20);
  const ahead = Buffer.from('ahead');
  const source = {
    read: () => assert.fail('read ahead'),
    readAhead: async (target: Uint8Array, position: number): Promise<number> => content.copy(target, 0, position, position + target.length),
  };
  for (const resumed of [false, true]) {
    for (const [isFirstHeld, said] of [
      [false, [0]],
      [true, []],
    ] as const) {
      const sent: Uint8Array[] = [];
      let asked = 0;
      const http = scriptedHttp((_route, body) => {
        const answer = Buffer.alloc((body as Buffer).length / DIGEST_BYTES);
        if (asked === 0 && isFirstHeld) answer[0] = 1;
        asked += 1;
        return [answer];
      });
      const stream = {
        send: async (bytes: Uint8Array, done?: () => void): Promise<void> => {
          sent.push(bytes);
          done?.();
        },
      };
      await sendContent({ http, compress: false, deltas: true, resumed, ahead }, () => stream, source, []);
      assert.deepEqual(
        sent.flatMap((bytes, i) => (bytes === ahead ? [i] : [])),
        said,
      );
    }
  }
});
