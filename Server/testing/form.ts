import { randomBytes } from 'node:crypto';

export type FormPart = { readonly name: string; readonly value: string | Buffer; readonly fileName?: string; readonly type?: string };

/** A multipart body as a client makes it. */
export function formOf(parts: readonly FormPart[]): {
  readonly headers: Record<string, string>;
  readonly payload: Buffer;
  readonly boundary: string;
} {
  const boundary = `----driftless${randomBytes(8).toString('hex')}`;
  const pieces = parts.flatMap(({ name, value, fileName, type }) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${fileName === undefined ? '' : `; filename="${fileName}"`}\r\n`,
    ),
    Buffer.from(fileName === undefined && type === undefined ? '\r\n' : `Content-Type: ${type ?? 'application/octet-stream'}\r\n\r\n`),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ]);
  return {
    boundary,
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    payload: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

/** An upload of `content` to `path`. */
export function uploadOf(path: string, content: string | Buffer, fields: Readonly<Record<string, string>> = {}) {
  const texts = Object.entries({ path, ...fields }).map(([name, value]) => ({ name, value }));
  const { headers, payload } = formOf([...texts, { name: 'file', value: content, fileName: 'upload.bin' }]);
  return { method: 'POST', url: '/v1/files', headers, payload } as const;
}
