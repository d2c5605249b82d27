import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';

export type ZipMember = { readonly name: string; readonly mode: number; readonly flags: number; readonly content: Buffer };

const END = 0x06054b50;
const DIRECTORY = 0x02014b50;
const LOCAL = 0x04034b50;

/** Reads a zip of stored entries by its central directory, and checks that lengths, checksums and local headers agree with it. */
export function membersOf(zip: Buffer): ZipMember[] {
  const end = zip.length - 22;
  assert.equal(zip.readUInt32LE(end), END, 'the end record is the last thing');
  const members: ZipMember[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    assert.equal(zip.readUInt32LE(at), DIRECTORY);
    const [nameBytes, extraBytes, commentBytes] = [zip.readUInt16LE(at + 28), zip.readUInt16LE(at + 30), zip.readUInt16LE(at + 32)];
    const raw = zip.subarray(at + 46, at + 46 + nameBytes);
    const size = zip.readUInt32LE(at + 24);
    const local = zip.readUInt32LE(at + 42);
    assert.equal(zip.readUInt32LE(local), LOCAL);
    assert.ok(zip.subarray(local + 30, local + 30 + zip.readUInt16LE(local + 26)).equals(raw), 'both headers have the same name');
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const content = zip.subarray(start, start + size);
    assert.equal(zip.readUInt32LE(at + 16), crc32(content));
    const name = new TextDecoder('utf-8', { fatal: true }).decode(raw);
    members.push({ name, mode: zip.readUInt16LE(at + 40), flags: zip.readUInt16LE(at + 8), content });
    at += 46 + nameBytes + extraBytes + commentBytes;
  }
  assert.equal(at, end);
  return members;
}
