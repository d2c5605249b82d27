import { formatBytes } from '../../Models/format_bytes.ts';
import { LIMITS } from '../../Models/limits.ts';
import { allowsDownload, LINK_PREFIX } from '../../Models/links.ts';
import { isoFromMicroseconds } from '../../Models/rest.ts';
import { visible, visibleContent } from '../../Models/visible.ts';
import type { ListedEntry } from '../../Storage/metadata.ts';
import { type Html, html } from './html.ts';
import { STYLE } from './visit_style.ts';
import { takesFiles, type Visit } from './visits.ts';

/** The pages of links, for browsers: plain HTML that needs no script. Names are shown with what is hidden in them, and never turn the line around. */

function name(text: string): Html {
  return html`<bdi>${visible(text)}</bdi>`;
}

function address({ token }: Pick<Visit, 'token'>, names: readonly string[], query = ''): string {
  return `${LINK_PREFIX}/${token}/${names.map(encodeURIComponent).join('/')}${query}`;
}

function time(mtimeUs: number): Html {
  const iso = isoFromMicroseconds(mtimeUs);
  const shown = /^\d{4}-/.test(iso) ? iso.slice(0, 16).replace('T', ' ') : '';
  return html`<time datetime="${iso}">${shown}</time>`;
}

function top(title: string): string {
  return `<!doctype html>${
    html`<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><title>${visible(title)}</title>${STYLE}</head><body><main>`
      .html
  }`;
}

const BOTTOM = html`<footer>Shared with Driftless</footer></main></body></html>`.html;

function whole(title: string, ...parts: readonly Html[]): string {
  return `${top(title)}${parts.map((part) => part.html).join('')}${BOTTOM}`;
}

/** The way down from what the link leads to. */
function way(visit: Visit): Html | null {
  const { link, below } = visit;
  if (below.length === 0) return null;
  const above = [link.name, ...below].slice(0, -1);
  const steps = above.map((step, depth) => html`<a href="${address(visit, below.slice(0, depth))}">${name(step)}</a> / `);
  return html`<nav>${steps}</nav>`;
}

function uploadForm(visit: Visit): Html {
  return html`<section><form method="post" enctype="multipart/form-data" action="${address(visit, visit.below)}"><label for="files">Send files</label><input id="files" type="file" name="file" multiple required><button>Send</button></form></section>`;
}

function received(names: readonly string[]): Html | null {
  if (names.length === 0) return null;
  const items = names.map((each) => html`<li>${name(each)}</li>`);
  return html`<section role="status"><strong>${names.length === 1 ? 'Received' : `${names.length} files received`}</strong><ul>${items}</ul></section>`;
}

/** @param sent names of files that were just received */
export function dropPage(visit: Visit, sent: readonly string[]): string {
  const head = html`<header><h1>${name(visit.link.name)}</h1></header>`;
  const about = html`<p class="soft">Files that you send arrive here. What is here already is not shown.</p>`;
  return whole(visit.link.name, head, received(sent) ?? about, uploadForm(visit));
}

function row(visit: Visit, entry: ListedEntry): Html {
  const link = address(visit, [...visit.below, entry.name]);
  const shown = entry.kind === 'symlink' ? name(entry.name) : html`<a href="${link}">${name(entry.name)}</a>`;
  const sign = entry.kind === 'folder' ? '▸ ' : '↗ ';
  const kind = entry.kind === 'file' ? null : html`<span class="soft" aria-hidden="true">${sign}</span>`;
  return html`<tr><td>${kind}${shown}${entry.kind === 'folder' ? '/' : null}</td><td class="size">${entry.kind === 'file' ? formatBytes(entry.size) : null}</td><td class="time">${time(entry.mtimeUs)}</td></tr>`;
}

/** In pieces, as the entries come. */
export async function* folderPage(
  visit: Visit,
  entries: AsyncIterable<readonly ListedEntry[]>,
  sent: readonly string[],
): AsyncGenerator<string> {
  const title = visit.below.at(-1) ?? visit.link.name;
  yield top(title);
  const zip = allowsDownload(visit.link.mode)
    ? html`<a class="button" href="${address(visit, visit.below, '?as=zip')}">Download all as a zip</a>`
    : null;
  yield html`<header>${way(visit)}<h1>${name(title)}</h1>${zip}</header>${received(sent)}`.html;
  if (takesFiles(visit)) yield uploadForm(visit).html;
  yield html`<table><thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col" class="time">Changed (UTC)</th></tr></thead><tbody>`
    .html;
  let left: number = LIMITS.linkPageEntriesMax;
  let more = false;
  for await (const page of entries) {
    const shown = page.slice(0, left);
    left -= shown.length;
    more ||= shown.length < page.length;
    yield shown.map((entry) => row(visit, entry).html).join('');
    if (more) break;
  }
  if (left === LIMITS.linkPageEntriesMax) yield html`<tr><td colspan="3" class="soft">Nothing is in this folder.</td></tr>`.html;
  yield html`</tbody></table>`.html;
  if (more) yield html`<p class="soft">The first ${LIMITS.linkPageEntriesMax} entries; the zip has all of them.</p>`.html;
  yield BOTTOM;
}

type ShownFile = { readonly name: string; readonly size: number; readonly mtimeUs: number };

/** @param preview its first bytes, `null` when they are not shown without being asked for */
export function filePage(visit: Visit, file: ShownFile, preview: Buffer | null): string {
  const download = allowsDownload(visit.link.mode)
    ? html`<a class="button" href="${address(visit, visit.below, '?as=file')}">Download</a>`
    : null;
  const ask =
    preview === null
      ? html`<p><a class="button quiet" href="${address(visit, visit.below, '?as=preview')}">Show the beginning</a></p>`
      : null;
  return whole(
    file.name,
    html`<header>${way(visit)}<h1>${name(file.name)}</h1>${download}</header>`,
    html`<p class="soft">${formatBytes(file.size)} · ${time(file.mtimeUs)} UTC</p>${ask}`,
    preview === null ? html`` : previewOf(preview, file.size),
  );
}

function previewOf(bytes: Buffer, size: number): Html {
  if (bytes.length === 0) return html`<section class="soft">The file is empty.</section>`;
  const cut = bytes.length < size ? html`<p class="soft">The first ${bytes.length} bytes.</p>` : null;
  return html`<section><pre dir="auto">${readable(bytes, bytes.length < size) ?? hexDump(bytes)}</pre></section>${cut}`;
}

/** Text as a person may read it; `null` for bytes that are no text. @param isCut a character may be cut in two at the end */
function readable(bytes: Buffer, isCut: boolean): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut });
    return text.includes('\0') ? null : visibleContent(text.replaceAll('\r\n', '\n'));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

function hexDump(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const some = bytes.subarray(at, at + 16);
    const hex = some.toString('hex').replaceAll(/(..)/g, '$1 ').padEnd(48);
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex} ${some.toString('latin1').replaceAll(/[^ -~]/g, '.')}`);
  }
  return lines.join('\n');
}

export function passwordPage(token: string, isWrong: boolean): string {
  const said = isWrong ? html`<p class="bad" role="alert">The password is wrong.</p>` : null;
  return whole(
    'Password needed',
    html`<header><h1>This link needs a password</h1></header>`,
    html`<section>${said}<form method="post" action="${LINK_PREFIX}/${token}"><label for="password">Password</label><input id="password" type="password" name="password" autocomplete="off" required autofocus><button>Open</button></form></section>`,
  );
}

export function refusalPage(title: string, text: string): string {
  return whole(title, html`<header><h1>${title}</h1></header><p class="soft">${text}</p>`);
}
