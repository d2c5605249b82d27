import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from './errors.ts';
import { FRAME, type Frame, FrameParser, FrameWriter, joinBytes, PayloadReader, payloadOf } from './frames.ts';
import { LIMITS } from './limits.ts';

const names = ['', 'plain', 'Grüße', '日本語', 'x'.repeat(300)];

function sample(): Uint8Array {
  const writer = new FrameWriter(16);
  for (const name of names) writer.begin(FRAME.paths).text(name).u8(7).u16(65_535).u32(4_294_967_295).f64(Number.MAX_SAFE_INTEGER).finish();
  return writer.begin(FRAME.end).finish().take();
}

function parse(pieces: Iterable<Uint8Array>): Frame[] {
  const frames: Frame[] = [];
  const parser = new FrameParser();
  for (const piece of pieces) parser.push(piece, (frame) => frames.push(frame));
  parser.assertBoundary();
  return frames;
}

const refused = (run: () => unknown, code: string): void =>
  assert.throws(run, (error: unknown) => error instanceof AppError && error.code === code);

test('frames come out the same however the stream is cut', () => {
  const bytes = sample();
  for (const size of [1, 2, 3, 4, 5, 6, 7, 11, 64, bytes.length]) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
    const frames = parse(pieces);
    assert.deepEqual(joinBytes(frames.flatMap((frame) => frame.pieces)), bytes);
    assert.equal(frames.at(-1)?.type, FRAME.end);
    const read = frames.slice(0, -1).map((frame) => {
      const reader = new PayloadReader(payloadOf(frame));
      const name = reader.text();
      assert.deepEqual([reader.u8(), reader.u16(), reader.u32(), reader.f64()], [7, 65_535, 4_294_967_295, Number.MAX_SAFE_INTEGER]);
      reader.end();
      return name;
    });
    assert.deepEqual(read, names);
  }
});

test('the layout is this, byte by byte', () => {
  const bytes = new FrameWriter().begin(FRAME.paths).text('aé').u16(258).finish().take();
  assert.equal(Buffer.from(bytes).toString('hex'), '0800000007000361c3a90102');
});

test('a stream cut inside a frame, an unknown type and a frame that is too long are refused', () => {
  const bytes = sample();
  for (const length of [1, 4, 5, 6, bytes.length - 1]) refused(() => parse([bytes.subarray(0, length)]), 'upload_interrupted');
  refused(() => parse([Uint8Array.of(0, 0, 0, 0, 0)]), 'frame_invalid');
  refused(() => parse([Uint8Array.of(99), Uint8Array.of(0, 0, 0, 0)]), 'frame_invalid');
  const long = new DataView(new ArrayBuffer(5));
  long.setUint8(0, FRAME.chunk);
  long.setUint32(1, LIMITS.frameBytesMax);
  refused(() => parse([new Uint8Array(long.buffer)]), 'frame_invalid');
});

test('a payload that is short, long, not UTF-8 or no whole number is refused', () => {
  refused(() => new PayloadReader(Uint8Array.of(1)).u16(), 'frame_invalid');
  refused(() => new PayloadReader(Uint8Array.of(0, 5, 65)).text(), 'frame_invalid');
  refused(() => new PayloadReader(Uint8Array.of(0, 1, 0xff)).text(), 'frame_invalid');
  refused(() => new PayloadReader(Uint8Array.of(1, 2)).end(), 'frame_invalid');
  refused(() => new PayloadReader(new FrameWriter().f64(0.5).take()).f64(), 'frame_invalid');
  refused(() => new PayloadReader(new FrameWriter().f64(Number.NaN).take()).f64(), 'frame_invalid');
});

test('a frame that comes byte by byte is not held as so many pieces', () => {
  const content = Uint8Array.from({ length: 300_000 }, (_, i) => i);
  const writer = new FrameWriter();
  for (let i = 0; i < 2; i += 1) writer.begin(FRAME.operation).bytes(content).finish();
  const bytes = writer.take();
  const parser = new FrameParser();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += 1) parser.push(bytes.subarray(at, at + 1), (frame) => frames.push(frame));
  parser.assertBoundary();
  assert.equal(frames.length, 2);
  for (const frame of frames) {
    assert.ok(frame.pieces.length <= 1024, `${frame.pieces.length} pieces`);
    assert.deepEqual(payloadOf(frame), content);
  }
});
