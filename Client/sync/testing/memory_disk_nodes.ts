/** What a file, folder or symlink of the memory disk is: as it is now, and as it would be found after a power cut. */
export type Inode = {
  ino: number;
  device: number;
  readonly kind: 'file' | 'folder' | 'symlink' | 'other';
  readonly birthMs: number;
  readonly target: string; // of a symlink
  links: number; // names it has now; of a folder 0 or 1
  handles: number; // open files
  attributes: Attributes;
  bytes: Buffer; // of a file; never changed, but replaced
  entries: Map<string, NamedInode>; // of a folder, by folded name
  parent: Inode | null; // of a folder that has a name
  durable: { attributes: Attributes; bytes: Buffer; entries: Map<string, NamedInode> };
  /** Of a file: what was written since it was last synced, in order. */
  unsynced: DataChange[];
};

export type NamedInode = { readonly name: string; readonly inode: Inode; readonly undecodable?: Uint8Array };
export type Attributes = { readonly mode: number; readonly mtimeMs: number; readonly ctimeMs: number };

/** At most one page each, so that any prefix of them is a torn write. */
export type DataChange =
  | { readonly kind: 'bytes'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly size: number };

const PAGE_BYTES = 4096;

export function newInode(kind: Inode['kind'], { ino, device }: Pick<Inode, 'ino' | 'device'>, attributes: Attributes, target = ''): Inode {
  const birthMs = attributes.ctimeMs;
  const durable = { attributes, bytes: Buffer.alloc(0), entries: new Map<string, NamedInode>() };
  return {
    ino,
    device,
    kind,
    birthMs,
    target,
    links: 0,
    handles: 0,
    attributes,
    bytes: Buffer.alloc(0),
    entries: new Map(),
    parent: null,
    durable,
    unsynced: [],
  };
}

export function writeBytes(inode: Inode, bytes: Uint8Array, position: number): void {
  inode.bytes = withBytes(inode.bytes, bytes, position);
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + PAGE_BYTES - ((position + from) % PAGE_BYTES));
    inode.unsynced.push({ kind: 'bytes', position: position + from, bytes: Buffer.from(bytes.subarray(from, to)) });
    from = to;
  }
}

export function resize(inode: Inode, size: number): void {
  inode.bytes = withSize(inode.bytes, size);
  inode.unsynced.push({ kind: 'size', size });
}

/** Content and attributes, and no name. */
export function makeContentDurable(inode: Inode): void {
  inode.durable.attributes = inode.attributes;
  if (inode.unsynced.length === 0) return;
  inode.durable.bytes = inode.bytes;
  inode.unsynced = [];
}

/** What a power cut leaves of a file's content: what was synced, and a part of what came after it. */
export function tear(inode: Inode, random: () => number): void {
  if (random() < 0.5) inode.durable.attributes = inode.attributes;
  const kept = Math.floor(random() * (inode.unsynced.length + 1));
  let bytes = inode.durable.bytes;
  for (const change of inode.unsynced.slice(0, kept)) {
    bytes = change.kind === 'size' ? withSize(bytes, change.size) : withBytes(bytes, change.bytes, change.position);
  }
  inode.durable.bytes = bytes;
}

function withSize(bytes: Buffer, size: number): Buffer {
  const resized = Buffer.alloc(size);
  bytes.copy(resized, 0, 0, Math.min(size, bytes.length));
  return resized;
}

/** A new one: who has found the old one keeps it as it was. */
function withBytes(bytes: Buffer, piece: Uint8Array, position: number): Buffer {
  const written = withSize(bytes, Math.max(position + piece.length, bytes.length));
  written.set(piece, position);
  return written;
}
