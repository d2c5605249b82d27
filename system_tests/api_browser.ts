import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Driftless, register } from '../Client/client.ts';
import { encodeAuthenticated } from '../Models/datagrams.ts';
import { ROUTES } from '../Models/routes.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { type Browser, openBrowser, type Tab } from './browser.ts';
import { hostileFiles } from './hostile_files.ts';

/** `npm run test:browser`: what the API gives to a real browser, with a ticket on every request as a program beside it would put it there. */

const stack = new AsyncDisposableStack();
let browser: Browser;
let alice: Driftless;
let system: System;
let folder: string;
let elsewhere: string; // another origin, of somebody who wishes us ill
const called: string[] = [];
let page = ''; // what it shows

function answer(url: string, response: ServerResponse): void {
  if (!['/page', '/favicon.ico'].includes(url)) called.push(url);
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('content-type', 'text/html');
  response.end(url === '/page' ? page : '');
}

before(async () => {
  folder = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-api-browser-')), (path) => rm(path, { recursive: true, force: true }));
  browser = stack.use(await openBrowser());
  const server = createServer((request, response) => answer(request.url ?? '', response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void server.close());
  elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  system = stack.use(await startSystem({ env: await privateEnvironment(folder, process.env), folder }));
  const password = randomBytes(12).toString('hex');
  alice = stack.use(await register({ username: 'alice', password, auth: system.auth, home: join(folder, 'home') }));
  await alice.createFolder('/hostile');
  for (const [i, [name, content]] of Object.entries(hostileFiles(elsewhere)).entries()) {
    await writeFile(join(folder, `file-${i}`), content);
    await alice.upload(join(folder, `file-${i}`), `/hostile/${name}`);
  }
});
after(() => stack.disposeAsync());

/** A tab whose every request has the ticket, which no page can add by itself. */
async function signedIn(): Promise<Tab> {
  const tab = await browser.open();
  await tab.call('Network.enable');
  await tab.call('Network.setExtraHTTPHeaders', { headers: { authorization: `Bearer ${await alice.ticket()}` } });
  return tab;
}

const contentUrl = (route: string, name: string): string =>
  `${system.httpUrl}${route}?${new URLSearchParams({ path: `/hostile/${name}` })}`;

describe('what the API serves, in a browser', () => {
  it('runs nothing of a file that is opened by its address', async () => {
    const tab = await signedIn();
    for (const name of Object.keys(hostileFiles(elsewhere))) {
      for (const route of [ROUTES.files, ROUTES.preview, ROUTES.entry, ROUTES.versions]) {
        await tab.visit(contentUrl(route, name));
        assert.deepEqual([await tab.value('window.pwned'), await tab.value('document.title === "pwned"')], [undefined, false], name);
      }
    }
    await tab.visit(`${system.httpUrl}${ROUTES.list}?path=/hostile`);
    assert.match(String(await tab.value('document.body.innerText')), /drawing\.svg/); // the ticket was there
    assert.equal(await tab.value('window.pwned'), undefined);
    assert.deepEqual(called, []);
  });

  it('runs nothing in a page of somebody else that frames it, shows it or calls it a script', async () => {
    const tab = await signedIn();
    const uses = (url: string): string => {
      const quoted = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
      return ['iframe src', 'img src', 'script src', 'embed src', 'object data', 'link rel="stylesheet" href', 'video src']
        .map((use) => `<${use}="${quoted}"></${use.split(' ')[0]}>`)
        .join('');
    };
    const urls = Object.keys(hostileFiles(elsewhere)).map((name) => contentUrl(ROUTES.files, name));
    page = `<!doctype html><title>theirs</title>${urls.map(uses).join('')}`;
    await tab.visit(`${elsewhere}/page`);
    assert.deepEqual([await tab.value('window.pwned'), await tab.value('document.title')], [undefined, 'theirs']);
    assert.deepEqual(called, []);
    // the same files do something there where nothing stops them
    page = `<!doctype html><script>${hostileFiles(elsewhere)['code.js']}</script>`;
    await tab.visit(`${elsewhere}/page`);
    assert.equal(await tab.value('window.pwned'), 1);
    called.length = 0;
  });

  it('lets pages of its own reach the daemon, and no page of somebody else, nor may that read anything', async () => {
    const nothing = { cookie: Buffer.alloc(16), ephemeral: Buffer.alloc(32) };
    const hello = Array.from(encodeAuthenticated('hello', randomBytes(16), nothing, () => Buffer.alloc(0)));
    const ask = `fetch(${JSON.stringify(system.httpUrl + ROUTES.auth)}, { method: 'POST', headers: { 'content-type': 'application/octet-stream' },
      body: Uint8Array.from(${JSON.stringify(hello)}) }).then(async (said) => said.status + ' ' + new Uint8Array(await said.arrayBuffer())[3], (error) => error.name)`;
    const tab = await browser.open();
    await tab.visit(`${system.httpUrl}/docs`);
    assert.equal(await tab.value(ask), `200 ${0x81}`); // RETRY, as over UDP
    page = '<!doctype html>';
    const stranger = await signedIn();
    await stranger.visit(`${elsewhere}/page`);
    assert.equal(await stranger.value(ask), 'TypeError');
    const read = `fetch(${JSON.stringify(`${system.httpUrl}${ROUTES.whoami}`)}).then((said) => said.status, (error) => error.name)`;
    assert.equal(await stranger.value(read), 'TypeError');
  });
});
