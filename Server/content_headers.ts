/**
 * Headers for bytes that a user stored: whatever they are, a browser must neither run nor guess them.
 * @param name the file's name, any name that Models/names.ts allows
 */
export function contentHeaders(name: string): Record<string, string> {
  return {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${asciiName(name)}"; filename*=UTF-8''${encodeName(name)}`,
    'content-security-policy': "sandbox; default-src 'none'",
  };
}

function asciiName(name: string): string {
  return name.replaceAll(/[^\w .()-]/g, '_');
}

/** RFC 8187: everything but attr-char is percent-encoded. */
function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
