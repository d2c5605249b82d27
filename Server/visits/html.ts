/** Text that is HTML already; only `html` makes it. */
export type Html = { readonly html: string };

type Part = string | number | Html | readonly Html[] | null;

/** A template whose values are escaped, unless they were made by it; `null` is nothing. For text between tags and for quoted attributes. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let whole = texts[0] ?? '';
  for (const [i, part] of parts.entries()) whole += written(part) + (texts[i + 1] ?? '');
  return { html: whole };
}

function written(part: Part): string {
  if (part === null) return '';
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part));
  return 'html' in part ? part.html : part.map((each) => each.html).join('');
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** CSS as it is, for the one style element of a page. @param css our own, never anything of a user's */
export function styleElement(css: string): Html {
  return { html: `<style>${css}</style>` };
}
