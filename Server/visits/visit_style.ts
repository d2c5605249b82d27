import { createHash } from 'node:crypto';
import { styleElement } from './html.ts';

const CSS = `
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--text:#1c2024;--soft:#60646c;--line:#e4e6ea;--accent:#0b68cb;--on-accent:#fff;--bad:#b4232c}
@media (prefers-color-scheme:dark){:root{--ground:#111315;--card:#1a1d20;--text:#edeef0;--soft:#a5abb3;--line:#2e3236;--accent:#70b8ff;--on-accent:#0a1a2a;--bad:#ff9592}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:52rem;margin:0 auto;padding:1.5rem 1rem 3rem}
header{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:center;justify-content:space-between;margin-bottom:1rem}
h1{font-size:1.35rem;line-height:1.3;margin:0;min-width:0}
nav{color:var(--soft);font-size:.9rem;width:100%}
nav a,td a{color:inherit;text-decoration:none}
nav a:hover,td a:hover{text-decoration:underline}
section,table{background:var(--card);border:1px solid var(--line);border-radius:.75rem}
section{padding:1rem;margin:1rem 0}
table{width:100%;border-spacing:0;border-collapse:separate}
th,td{padding:.6rem 1rem;text-align:left;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;font-weight:500;font-size:.85rem;color:var(--soft)}
.size,.time{white-space:nowrap;color:var(--soft);font-variant-numeric:tabular-nums}
.size{text-align:right}
.button,button{display:inline-block;font:inherit;font-weight:500;padding:.5rem 1rem;border:0;border-radius:.5rem;background:var(--accent);color:var(--on-accent);text-decoration:none;cursor:pointer}
.quiet{background:transparent;color:var(--accent);border:1px solid var(--line)}
input{font:inherit;color:inherit;max-width:100%}
input[type=password]{padding:.45rem .75rem;border:1px solid var(--line);border-radius:.5rem;background:var(--ground);width:16rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
form{display:flex;flex-wrap:wrap;gap:.75rem;align-items:center}
label{width:100%}
pre{margin:0;overflow-x:auto;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap}
.soft{color:var(--soft)}
.bad{color:var(--bad)}
footer{margin-top:2rem;color:var(--soft);font-size:.85rem}
@media (max-width:36rem){.time{display:none}th,td{padding:.6rem .75rem}}
`.trim();

export const STYLE = styleElement(CSS);

/**
 * Nothing runs on a link's page and nothing comes from elsewhere: no script at all (the sandbox does not allow any either), this one style, forms to
 * this server only.
 */
export const PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(CSS).digest('base64')}'`,
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    'sandbox allow-forms allow-downloads allow-same-origin',
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'x-robots-tag': 'noindex, nofollow',
} as const;
