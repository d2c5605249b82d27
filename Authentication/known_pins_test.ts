import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '../Models/errors.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { publishServerPins } from '../Storage/server_pins.ts';
import { watchPins } from './known_pins.ts';

const pin = (fill: number): string => Buffer.alloc(32, fill).toString('base64');

test('what the server says of its keys is known within two seconds; before it says anything nobody is told where to go', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const folder = await temporaryFolder(t);
  const failures: unknown[] = [];
  using pins = watchPins(folder, (error) => failures.push(error));
  const texts = (): string[] => pins.current().map((bytes) => Buffer.from(bytes).toString('base64'));
  assert.throws(pins.current, (error) => error instanceof AppError && error.code === 'busy');
  /** Two seconds pass; what was begun in them comes to its end however long the disk takes. */
  const isSoonSo = (isSo: () => void): Promise<void> => {
    t.mock.timers.tick(2000);
    return t.waitFor(isSo, { timeout: 30_000, interval: 10 });
  };
  for (const said of [[pin(1)], [pin(2), pin(3)]]) {
    await publishServerPins(folder, said);
    await isSoonSo(() => assert.deepEqual(texts(), said));
  }
  await writeFile(join(folder, 'server', 'tls_pins.json'), '{"version":1,"pins":[]}');
  await isSoonSo(() => assert.ok(failures.length > 0));
  assert.deepEqual(texts(), [pin(2), pin(3)], 'what was known last is still good');
});
