/** Files and names that do something wherever a browser lets them. Each that is run tells `beacon` (a URL) of it, and marks the window. */
export function hostileFiles(beacon: string): Record<string, string> {
  const script = `window.pwned=1;document.title='pwned';fetch('${beacon}/run')`;
  const image = `<img src="${beacon}/loaded" onerror="${script.replaceAll('"', "'")}">`;
  return {
    'page.html': `<!doctype html><script>${script}</script>${image}`,
    'drawing.svg': `<svg xmlns="http://www.w3.org/2000/svg" onload="${script.replaceAll('"', "'")}"><script>${script}</script></svg>`,
    'page.xhtml': `<html xmlns="http://www.w3.org/1999/xhtml"><script>${script}</script></html>`,
    'feed.xml': `<?xml-stylesheet type="text/xsl" href="${beacon}/xsl"?><x xmlns:h="http://www.w3.org/1999/xhtml"><h:script>${script}</h:script></x>`,
    'code.js': script,
    'looks like text.txt': `<script>${script}</script>`,
    'no extension': `<!doctype html><body onload="${script.replaceAll('"', "'")}">`,
    '<img src=x onerror=window.pwned=1>': 'a name',
    '"><svg onload=window.pwned=1>': 'another',
    "' autofocus onfocus='window.pwned=1": 'and another',
    'javascript:window.pwned=1': 'one more',
    'photo_\u202egnp.exe': 'turned round',
  };
}
