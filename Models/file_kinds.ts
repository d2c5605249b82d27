import { foldName } from './names.ts';

/** What people call files of these extensions. A file of none of them is `other`. */
export const EXTENSIONS = {
  image: ['jpg', 'jpeg', 'png', 'gif', 'webp', 'heic', 'avif', 'svg', 'bmp', 'tif', 'tiff', 'raw', 'psd'],
  video: ['mp4', 'm4v', 'mov', 'mkv', 'webm', 'avi', 'mpg', 'mpeg'],
  audio: ['mp3', 'm4a', 'aac', 'flac', 'wav', 'ogg', 'opus'],
  document: ['pdf', 'txt', 'md', 'rtf', 'doc', 'docx', 'odt', 'xls', 'xlsx', 'ods', 'csv', 'ppt', 'pptx', 'odp', 'epub'],
  archive: ['zip', 'tar', 'gz', 'tgz', 'bz2', 'xz', 'zst', '7z', 'rar', 'iso'],
  code: [
    'c',
    'h',
    'cpp',
    'cs',
    'css',
    'go',
    'html',
    'java',
    'js',
    'json',
    'jsx',
    'php',
    'py',
    'rb',
    'rs',
    'sh',
    'sql',
    'ts',
    'tsx',
    'xml',
    'yaml',
    'yml',
  ],
} as const satisfies Record<string, readonly string[]>;

export type NamedKind = keyof typeof EXTENSIONS;
export type FileKind = NamedKind | 'other';
export const FILE_KINDS: readonly FileKind[] = [...(Object.keys(EXTENSIONS) as NamedKind[]), 'other'];

const KIND_OF = new Map<string, NamedKind>(
  (Object.keys(EXTENSIONS) as NamedKind[]).flatMap((kind) => EXTENSIONS[kind].map((extension) => [extension.toUpperCase(), kind] as const)),
);

/** By the letters behind the last dot. */
export function fileKindOf(name: string): FileKind {
  const dot = name.lastIndexOf('.');
  return dot < 1 ? 'other' : (KIND_OF.get(foldName(name.slice(dot + 1))) ?? 'other');
}
