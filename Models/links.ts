/** Public links: whoever has the URL has what the link allows, without an account. */

export const LINK_MODES = ['download', 'preview', 'upload', 'both'] as const;
/** `preview`: the first 1024 bytes of each file. `upload`: files come in and nothing is shown. `both`: download and upload. */
export type LinkMode = (typeof LINK_MODES)[number];

export const LINK_STATES = ['open', 'expired', 'used_up', 'revoked', 'unreachable'] as const;
/** `unreachable`: what it leads to is gone, or its maker may not read it any more. */
export type LinkState = (typeof LINK_STATES)[number];

export const LINK_ACTIONS = ['view', 'preview', 'download', 'zip', 'upload', 'password'] as const;
/** `password`: a wrong one. */
export type LinkAction = (typeof LINK_ACTIONS)[number];

/** A link's page is at PREFIX/TOKEN, and what is in its folder at PREFIX/TOKEN/name/name. */
export const LINK_PREFIX = '/l';

export function linkUrl(serverUrl: string, token: string): string {
  return `${serverUrl.replace(/\/+$/, '')}${LINK_PREFIX}/${token}`;
}

export function allowsDownload(mode: LinkMode): boolean {
  return mode === 'download' || mode === 'both';
}

export function allowsUpload(mode: LinkMode): boolean {
  return mode === 'upload' || mode === 'both';
}
