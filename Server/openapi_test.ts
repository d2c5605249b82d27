import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ERROR_CODES } from '../Models/errors.ts';
import { ROUTES } from '../Models/routes.ts';
import { openServer, type ServerFixture } from './testing/server_fixture.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Document = {
  openapi: string;
  paths: Record<string, Record<string, { summary?: string; responses: Record<string, Json> }>>;
  components: Json;
};

let server: ServerFixture;
let document: Document;
before(async () => {
  server = await openServer();
  document = (await server.ask(null, { method: 'GET', url: ROUTES.openapi })).json();
});
after(() => server[Symbol.asyncDispose]());

function* nodes(value: Json): Generator<{ [key: string]: Json }> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value;
  for (const child of Object.values(value)) yield* nodes(child);
}

test('the document is OpenAPI 3.1 and tells of every route that needs a ticket, with a summary and its refusals', () => {
  assert.match(document.openapi, /^3\.1\./);
  for (const { method, url, public: open } of server.app.routeTable) {
    if (open) continue;
    const operation = document.paths[url.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
    assert.ok(operation?.summary, `${method} ${url}`);
    assert.ok(
      operation.responses['4XX'] &&
        operation.responses['5XX'] &&
        Object.keys(operation.responses).some((status) => /^(2|101)/.test(status)),
    );
  }
});

test('every reference in the document resolves, and its schemas are JSON Schema', () => {
  let references = 0;
  for (const node of nodes(document as Json)) {
    if (typeof node.$ref === 'string') {
      references += 1;
      const target = node.$ref
        .replace(/^#\//, '')
        .split('/')
        .reduce<Json | undefined>((at, key) => (at as Record<string, Json> | undefined)?.[key], document as Json);
      assert.ok(target !== undefined, node.$ref);
    }
    if (node.pattern !== undefined && typeof node.pattern === 'string') new RegExp(node.pattern, 'u');
  }
  assert.ok(references > 10);
});

test('path parameters are declared, and operations can be told apart', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const name of path.matchAll(/\{(\w+)\}/g)) {
      for (const operation of Object.values(methods)) assert.ok(JSON.stringify(operation).includes(`"name":"${name[1]}"`), path);
    }
  }
});

test('a problem names every code there is', () => {
  const problem = (document.components as { schemas: Record<string, { properties: { code: { enum: string[] } } }> }).schemas.Problem;
  assert.deepEqual(problem?.properties.code.enum, [...ERROR_CODES]);
});

test('the readable page is served with a policy that lets nothing in from elsewhere', async () => {
  const page = await server.ask(null, { method: 'GET', url: '/docs/' });
  assert.equal(page.status, 200);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
  for (const [, address = ''] of page.bytes.toString().matchAll(/(?:src|href)="([^"]+)"/g)) {
    assert.ok(!/^(https?:)?\/\//.test(address), address);
    const asset = await server.ask(null, { method: 'GET', url: new URL(address, 'http://localhost/docs/').pathname });
    assert.equal(asset.status, 200, address);
  }
});
