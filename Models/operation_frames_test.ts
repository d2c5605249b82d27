import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from './errors.ts';
import { FrameWriter } from './frames.ts';
import { type OperationFrame, readOperation, writeOperation } from './operation_frames.ts';

const digest = new Uint8Array(32).fill(0xab);

/** Number 258 and the operation, header included; then its bytes. */
const GOLDEN: [operation: OperationFrame, hex: string][] = [
  [
    {
      kind: 'put',
      path: '/a',
      size: 5,
      mtimeUs: -1,
      mode: 0o640,
      base: 'absent',
      digest,
      chunks: [
        { digest, length: 3 },
        { first: 1, count: 2 },
      ],
    },
    `0200000075 00000102 00 00022f61 4014000000000000 bff0000000000000 01a0 bff0000000000000 ${'ab'.repeat(32)} 00000002 00 ${'ab'.repeat(32)} 00000003 01 00000001 00000002`,
  ],
  [
    { kind: 'symlink', path: '/a', target: 'b', mtimeUs: 1, base: 7 },
    '020000001c 00000102 01 00022f61 000162 3ff0000000000000 401c000000000000',
  ],
  [
    { kind: 'mkdir', path: '@5/a', existingOk: true, mode: null, mtimeUs: null },
    '0200000017 00000102 02 000440352f61 01 00 0000 0000000000000000',
  ],
  [
    { kind: 'mkdir', path: '/a', existingOk: false, mode: 0o700, mtimeUs: 1 },
    '0200000015 00000102 02 00022f61 00 03 01c0 3ff0000000000000',
  ],
  [{ kind: 'mkdir', path: '/a', existingOk: false, mode: null, mtimeUs: 1 }, '0200000015 00000102 02 00022f61 00 02 0000 3ff0000000000000'],
  [{ kind: 'move', from: '@5', to: '/a', base: 7 }, '0200000015 00000102 03 00024035 00022f61 401c000000000000'],
  [{ kind: 'copy', from: '@5', to: '/a' }, '020000000d 00000102 04 00024035 00022f61'],
  [{ kind: 'delete', path: '@5', base: 'any', onlyEmpty: true }, '0200000012 00000102 05 00024035 c000000000000000 01'],
];

test('operations are laid out like this, byte by byte, and come back the same', () => {
  for (const [operation, hex] of GOLDEN) {
    const bytes = new FrameWriter();
    writeOperation(bytes, 258, operation);
    const frame = bytes.take();
    assert.equal(Buffer.from(frame).toString('hex'), hex.replaceAll(' ', ''), operation.kind);
    assert.deepEqual(readOperation(frame.subarray(5)), { number: 258, operation });
  }
});

test('an operation that is cut off or too long is refused', () => {
  for (const [, hex] of GOLDEN) {
    const payload = Buffer.from(hex.replaceAll(' ', ''), 'hex').subarray(5);
    const invalid = (bytes: Uint8Array): void =>
      assert.throws(
        () => readOperation(bytes),
        (error: unknown) => error instanceof AppError && error.code === 'frame_invalid',
      );
    for (let length = 0; length < payload.length; length += 1) invalid(payload.subarray(0, length));
    invalid(Buffer.concat([payload, Buffer.of(0)]));
  }
});
