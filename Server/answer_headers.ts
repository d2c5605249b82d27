import type { IncomingMessage, ServerResponse } from 'node:http';
import helmet from 'helmet';

/**
 * What every answer carries, also one to what is no request. An answer that a browser is to show says itself what may be in it.
 * No Strict-Transport-Security: with a certificate that no browser knows, it would take away the visitor's choice to go on.
 */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  ...headersOf(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
      },
      xFrameOptions: { action: 'deny' },
      strictTransportSecurity: false,
    }),
  ),
  'cache-control': 'private, no-store',
};

/** Of those, what an answer of bytes keeps that no browser shows or runs: a small put is counted in bytes. */
export const BYTE_HEADERS: ReadonlySet<string> = new Set(['cache-control', 'x-content-type-options']);

/** Always the same, so they are asked for once. */
function headersOf(middleware: (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void) {
  const headers: Record<string, string> = {};
  const response = {
    setHeader: (name: string, value: string) => {
      headers[name.toLowerCase()] = value;
    },
    removeHeader: () => undefined,
  };
  middleware({} as IncomingMessage, response as unknown as ServerResponse, (error) => {
    if (error !== undefined) throw error;
  });
  return headers;
}
