import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Driftless, register } from '../Client/client.ts';
import { privateEnvironment, startSystem } from '../processes.ts';
import { type Browser, openBrowser, type Tab } from './browser.ts';
import { hostileFiles } from './hostile_files.ts';

/** `npm run test:browser`. DRIFTLESS_SCREENSHOTS: a folder for pictures of the page. */

const stack = new AsyncDisposableStack();
let browser: Browser;
let alice: Driftless;
let folder: string;
let beacon: string;
const called: string[] = [];

before(async () => {
  folder = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-page-')), (path) => rm(path, { recursive: true, force: true }));
  browser = stack.use(await openBrowser());
  const server = createServer((request, response) => {
    called.push(request.url ?? '');
    response.setHeader('access-control-allow-origin', '*').end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void server.close());
  beacon = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const system = stack.use(await startSystem({ env: await privateEnvironment(folder, process.env), folder, showErrors: false }));
  alice = stack.use(
    await register({ username: 'alice', password: randomBytes(12).toString('hex'), auth: system.auth, home: join(folder, 'home') }),
  );
});
after(() => stack.disposeAsync());

async function isClean(tab: Tab): Promise<void> {
  assert.equal(await tab.value('window.pwned'), undefined);
  assert.notEqual(await tab.value('document.title'), 'pwned');
  assert.equal(await tab.value("document.querySelectorAll('img,svg,script,iframe,object,embed').length"), 0);
}

describe('the page of a link in a browser', () => {
  it('runs nothing of a file or a name, whichever way it is opened, and loads nothing from elsewhere', async () => {
    const files = hostileFiles(beacon);
    await alice.createFolder('/hostile');
    for (const [i, [name, content]] of Object.entries(files).entries()) {
      await writeFile(join(folder, `file-${i}`), content);
      await alice.upload(join(folder, `file-${i}`), `/hostile/${name}`);
    }
    const { url } = await alice.createLink('/hostile');
    const tab = await browser.open();
    await tab.visit(url);
    await isClean(tab);
    const links = (await tab.value("[...document.querySelectorAll('td a')].map((link) => link.href)")) as string[];
    assert.equal(links.length, Object.keys(files).length);
    for (const link of links) {
      assert.ok(link.startsWith(`${url}/`), link);
      for (const as of ['', '?as=page', '?as=preview', '?as=file', '?as=text', '?as=json']) {
        await tab.visit(link + as);
        await isClean(tab);
      }
    }
    for (const as of ['?as=text', '?as=json', '?as=zip']) await tab.visit(url + as);
    assert.deepEqual(called, []);
    // the watch itself works: the same files do run where nothing stops them
    await tab.visit(`data:text/html,${encodeURIComponent(files['page.html'] ?? '')}`);
    assert.equal(await tab.value('window.pwned'), 1);
  });

  it('asks for a password, opens with it, and takes files, all without a script', async () => {
    const { url } = await alice.createLink('/hostile', { mode: 'both', password: 'open sesame' });
    const tab = await browser.open();
    await tab.visit(url);
    assert.match(String(await tab.value('document.body.innerText')), /needs a password/);
    const submit = async (field: string, value: string): Promise<void> => {
      await tab.value(
        `document.querySelector('${field}').value = ${JSON.stringify(value)}; document.querySelector('form').requestSubmit()`,
      );
    };
    const shows = async (text: RegExp): Promise<void> => {
      for (let tries = 0; !text.test(String(await tab.value('document.body.innerText'))); tries += 1) {
        assert.ok(tries < 200, `the page never showed ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    };
    await submit('#password', 'wrong guess');
    await shows(/is wrong/);
    await submit('#password', 'open sesame');
    await shows(/page\.html/);
    await writeFile(join(folder, 'picked.txt'), 'from a browser');
    const { root } = (await tab.call('DOM.getDocument')) as { root: { nodeId: number } };
    const { nodeId } = await tab.call('DOM.querySelector', { nodeId: root.nodeId, selector: '#files' });
    await tab.call('DOM.setFileInputFiles', { nodeId, files: [join(folder, 'picked.txt')] });
    await tab.value("document.querySelector('form').requestSubmit()");
    await shows(/Received/);
    assert.equal((await alice.preview('/hostile/picked.txt')).toString(), 'from a browser');
  });

  it('fits a phone and a desk, light and dark', async () => {
    const { url } = await alice.createLink('/hostile', { mode: 'both' });
    const tab = await browser.open();
    for (const [width, height] of [
      [390, 844],
      [1280, 900],
    ] as const) {
      for (const scheme of ['light', 'dark']) {
        await tab.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
        await tab.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
        await tab.visit(url);
        assert.ok(Number(await tab.value('document.documentElement.scrollWidth')) <= width, 'nothing is wider than the screen');
        await picture(tab, `folder-${width}-${scheme}`);
        await tab.visit(`${url}/page.html`);
        assert.ok(Number(await tab.value('document.documentElement.scrollWidth')) <= width, 'nothing is wider than the screen');
        await picture(tab, `file-${width}-${scheme}`);
      }
    }
  });
});

async function picture(tab: Tab, name: string): Promise<void> {
  const pictures = process.env.DRIFTLESS_SCREENSHOTS;
  if (pictures === undefined) return;
  const { data } = (await tab.call('Page.captureScreenshot', { format: 'png' })) as { data: string };
  await writeFile(join(pictures, `${name}.png`), Buffer.from(data, 'base64'));
}
