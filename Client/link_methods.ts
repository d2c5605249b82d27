import { type LinkMode, linkUrl } from '../Models/links.ts';
import type { RestLink, RestLinkAccess } from '../Models/rest_links.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

export type LinkOptions = {
  /** `download` if not given. */
  readonly mode?: LinkMode;
  readonly password?: string;
  readonly expiresInSeconds?: number;
  /** Each download, zip, preview or upload of a file is one; a download that was cut off and goes on is the same one. */
  readonly usesMax?: number;
};
/** `url` is told once and stored nowhere. */
export type NewLink = RestLink & { readonly url: string };

/** Public links. Errors as of `Driftless`; what else, each says. */
export type LinkMethods = {
  /**
   * Gives everybody who has the URL what the link allows, for as long as the user could do it too.
   * @throws AppError `not_found`, `not_a_folder` (uploads to a file), `not_a_file` (a symlink), `forbidden` (uploads as a viewer), `request_invalid` (password too short), `too_large` (too many links)
   */
  createLink(path: string, options?: LinkOptions): Promise<NewLink>;
  /**
   * The user's own, and all that show something of a folder that the user shares with others; the newest first, whatever their state.
   * @param path only those that show what is there @throws AppError `not_found`
   */
  links(path?: string): AsyncIterable<RestLink>;
  /** Revokes a link at once, also for downloads under way. @throws AppError `not_found` */
  deleteLink(id: string): Promise<void>;
  /** Who used a link, the newest first. @throws AppError `not_found` */
  linkLog(id: string): Promise<RestLinkAccess[]>;
};

const loadRest = () => import('../Models/rest_links.ts');

export function linkMethods(http: Http, serverUrl: string): LinkMethods {
  const call = restCaller(http, loadRest);
  const at = (id: string): string => `${ROUTES.links}/${encodeURIComponent(id)}`;
  return {
    async createLink(path, options = {}) {
      const made = await call(({ MadeLink }) => ({ schema: MadeLink, method: 'POST', route: ROUTES.links, body: { path, ...options } }));
      const { token, ...link } = made;
      return { ...link, url: linkUrl(serverUrl, token) };
    },
    async *links(path) {
      for (let after: string | undefined; ; ) {
        const query = { path, after };
        const page = await call(({ LinksPage }) => ({ schema: LinksPage, method: 'GET', route: ROUTES.links, query }));
        yield* page.links;
        if (page.next === null) return;
        after = page.next;
      }
    },
    deleteLink: (id) => call<void>(() => ({ schema: null, method: 'DELETE', route: at(id) })),
    async linkLog(id) {
      const log = await call(({ LinkLog }) => ({ schema: LinkLog, method: 'GET', route: `${at(id)}/log` }));
      return log.accesses;
    },
  };
}
