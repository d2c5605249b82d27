import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { NodeKind } from '../core/tree.ts';
import { type IgnoreSources, openIgnoreRules } from './ignore_rules.ts';

function rules(lines: readonly string[], excludes: readonly string[] = []) {
  return openIgnoreRules({ ignoreFile: lines.join('\n'), excludes });
}

/** What git says of each path: the line that leaves it out, or null. */
function askGit(ignoreFile: string, entries: ReadonlyMap<string, NodeKind>): Map<string, number | null> {
  const folder = mkdtempSync(join(tmpdir(), 'driftless-ignore-'));
  try {
    execFileSync('git', ['init', '-q', folder]);
    for (const [path, kind] of entries) {
      mkdirSync(join(folder, kind === 'folder' ? path : dirname(path)), { recursive: true });
      if (kind === 'file') writeFileSync(join(folder, path), '');
      if (kind === 'symlink') symlinkSync('/nowhere', join(folder, path));
    }
    writeFileSync(join(folder, '.gitignore'), ignoreFile);
    const asked = spawnSync(
      'git',
      ['-c', 'core.ignoreCase=false', '-c', 'core.excludesFile=/dev/null', 'check-ignore', '-v', '-n', '-z', '--no-index', '--stdin'],
      {
        cwd: folder,
        input: [...entries.keys()].join('\0'),
      },
    );
    const fields = asked.stdout.toString().split('\0');
    const found = new Map<string, number | null>();
    for (let at = 0; at + 3 < fields.length; at += 4) {
      const [, line = '', pattern = '', path = ''] = fields.slice(at, at + 4);
      found.set(path, line === '' || pattern.startsWith('!') ? null : Number(line));
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const TREE: ReadonlyMap<string, NodeKind> = new Map(
  [
    ...['a', 'b/', 'b/c', 'b/keep.log', 'b/build/', 'b/build/x', 'b/build/keep.log', 'build', 'build2/', 'build2/x', 'x.log', 'keep.log'],
    ...[
      'doc/',
      'doc/frotz/',
      'doc/frotz/x',
      'a1/',
      'a1/doc/',
      'a1/doc/frotz/',
      'a1/doc/frotz/y',
      'foo/',
      'foo/bar/',
      'foo/bar/baz',
      'foo/x',
    ],
    ...['hello.c', 'hello.h', '#hash', '!bang', 'sp ', 'sp', 'tab\t', '[x]', 'x', 'y', 'z9', '*', '\\', 'é', 'E', 'e', 'ÄÖ.txt', 'link@'],
    ...[
      'node_modules/',
      'node_modules/p/',
      'node_modules/p/i.js',
      'q/',
      'q/node_modules/',
      'q/node_modules/i.js',
      'q/r/',
      'q/r/s/',
      'q/r/s/t',
    ],
    ...[
      '.hidden',
      '.cache/',
      '.cache/1',
      'a.b.c',
      'ab',
      'aXb',
      'abc',
      'deep/',
      'deep/a/',
      'deep/a/b/',
      'deep/a/b/c/',
      'deep/a/b/c/d.log',
      'b@',
    ],
  ]
    .filter((path) => path !== 'b@') // one name, one kind
    .map((path): [string, NodeKind] => [
      path.replace(/[/@]$/, ''),
      path.endsWith('/') ? 'folder' : path.endsWith('@') ? 'symlink' : 'file',
    ]),
);

const FILES: readonly string[] = [
  '*.log\n!keep.log\n',
  'build\n',
  'build/\n!b/build/\n',
  '/build\n/build2/\n',
  'b/*\n!b/keep.log\n',
  '*\n!*.log\n!b/\n',
  'doc/frotz\n',
  '**/doc/frotz/\n',
  'foo/**\n!foo/x\n',
  'foo/*\n!foo/bar\nfoo/bar/*\n',
  'a/**/c\ndeep/**/d.log\n',
  '# comment\n\n   \n\\#hash\n\\!bang\n',
  'sp\\ \ntab\\\t\n',
  'sp   \nx\t\n',
  '[xyz]\n[!a-y]9\n\\[x\\]\n',
  '\\*\n\\\\\n',
  'hello.?\n!hello.h\n',
  'é\nÄÖ.*\n',
  'E\n',
  'node_modules\n!q/node_modules\n',
  '/*\n!/q\n/q/*\n!/q/r\n',
  'q/**/t\n',
  '.*\n',
  'a*b\n',
  '*.c\n*.b.*\n',
  'link/\n',
  'link\n',
  '[[:digit:]]\n[[:alpha:]][[:digit:]]\n',
  '\ufeffx\n',
  'x\r\ny\r\n',
  'x\ny\r',
  '!x\nx\n!x\n',
  '/deep/a/b\n!/deep/a/b/c\n',
  'deep/*/b\n',
  '**/b/c\n',
  '[x\n',
  'x\\\n',
  '/\n',
  '//\n',
  'b//c\n',
  'frotz/\n!doc/frotz/\n',
];

describe('lines of the ignore file', () => {
  for (const ignoreFile of FILES) {
    it(`leave out what git leaves out, by the same line: ${JSON.stringify(ignoreFile)}`, () => {
      const { match } = openIgnoreRules({ ignoreFile, excludes: [] });
      const ours = new Map([...TREE].map(([path, kind]) => [path, match(path, kind)?.line ?? null]));
      assert.deepEqual(ours, askGit(ignoreFile, TREE));
    });
  }

  it('all of them at once, too', () => {
    const ignoreFile = FILES.filter((text) => !/\r|\ufeff|^\*\n|^\/\*/.test(text)).join('');
    const { match } = openIgnoreRules({ ignoreFile, excludes: [] });
    const ours = new Map([...TREE].map(([path, kind]) => [path, match(path, kind)?.line ?? null]));
    assert.deepEqual(ours, askGit(ignoreFile, TREE));
  });

  it('are quoted as they stand there', () => {
    assert.deepEqual(rules(['# what we build', 'out/', '*.tmp']).match('out/a/b.txt', 'file'), {
      source: 'ignored',
      line: 2,
      pattern: 'out/',
    });
  });

  it('do not leave out the ignore file itself, at the root', () => {
    const { match } = rules(['.*', '*ignore']);
    assert.equal(match('.driftlessignore', 'file'), null);
    assert.equal(match('sub/.driftlessignore', 'file')?.line, 2);
  });
});

describe('exclude patterns of a device', () => {
  it('have the same grammar, count on their own, and cannot be taken back by the ignore file', () => {
    const { match } = rules(['!photos', '*.log'], ['photos', '!photos', '*.iso', '!small.iso', 'photos/raw']);
    assert.equal(match('photos', 'folder'), null);
    assert.deepEqual(match('photos/raw/1.cr2', 'file'), { source: 'excluded', line: 5, pattern: 'photos/raw' });
    assert.deepEqual(match('big.iso', 'file'), { source: 'excluded', line: 3, pattern: '*.iso' });
    assert.equal(match('small.iso', 'file'), null);
    assert.deepEqual(match('x.log', 'file'), { source: 'ignored', line: 2, pattern: '*.log' });
  });

  it('may leave out the ignore file', () => {
    assert.equal(rules([], ['.*']).match('.driftlessignore', 'file')?.source, 'excluded');
  });
});

describe('what is always left out', () => {
  it('is private: the own folder in any case and at any depth, and parts of transfers', () => {
    const { match } = rules(['!.driftless', '!*.part']);
    for (const path of [
      '.driftless',
      '.driftless/tmp/1',
      '.Driftless/x',
      'home/.driftless/profile.json',
      'a/.driftless-0123456789abcdef.part',
    ]) {
      assert.equal(match(path, 'file')?.line, 0, path);
    }
    for (const path of ['driftless', '.driftlessx', '.driftless-1.part', 'x.part', '.driftles', '...'])
      assert.equal(match(path, 'file'), null, path);
  });
});

describe('the fingerprint', () => {
  it('differs when what is left out may differ, and only then', () => {
    const of = (sources: IgnoreSources): string => openIgnoreRules(sources).fingerprint;
    const base = of({ ignoreFile: 'a\nb\n', excludes: ['c'] });
    assert.match(base, /^[0-9a-f]{64}$/);
    assert.equal(of({ ignoreFile: '# why\r\na\r\n\r\nb', excludes: ['c'] }), base);
    const others = [
      { ignoreFile: 'b\na\n', excludes: ['c'] },
      { ignoreFile: 'a\nb\nc\n', excludes: [] },
      { ignoreFile: 'a\nb\n', excludes: ['c', 'd'] },
      { ignoreFile: null, excludes: ['c'] },
    ];
    for (const sources of others) assert.notEqual(of(sources), base, JSON.stringify(sources));
    assert.equal(of({ ignoreFile: '', excludes: [] }), of({ ignoreFile: null, excludes: [] }));
  });
});

it('a hundred thousand paths take no time that anybody notices, and what is asked often enough is still right', () => {
  const { match } = rules(['node_modules', '*.log', 'build/', '/dist', '*.tmp', '!keep.tmp', '.cache', 'a/**/z', '*.o', '.DS_Store']);
  const paths = Array.from(
    { length: 100_000 },
    (_, n) => `folder ${Math.floor(n / 1000)}/sub ${Math.floor(n / 100)}/file ${n}.${n % 10 === 0 ? 'tmp' : 'txt'}`,
  );
  const before = process.threadCpuUsage();
  let leftOut = 0;
  for (const path of paths) if (match(path, 'file') !== null) leftOut += 1;
  const tookMs = process.threadCpuUsage(before).user / 1000;
  assert.equal(leftOut, 10_000);
  assert(tookMs < 1000, `${tookMs} ms of processor`); // some 30 ms
});
