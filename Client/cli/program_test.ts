import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { AppError, ERROR_CODES } from '../../Models/errors.ts';
import { EXIT_CODES } from '../../Models/exit_codes.ts';
import type { Driftless, RestEntry, RestLink, RestPublished, TransferReport } from '../client.ts';
import { unreadableText } from '../failure_text.ts';
import { COMMANDS, type ProgramDeps, runWords } from './program.ts';
import { runShell } from './shell.ts';

type Ran = { code: number; out: string; err: string; records: string[] };

function collector(): { stream: Writable; text: () => string } {
  let all = '';
  const stream = new Writable({
    write(bytes: Buffer, _encoding, done) {
      all += bytes.toString('latin1');
      done();
    },
  });
  return { stream, text: () => Buffer.from(all, 'latin1').toString() };
}

/** Runs words against a client that has the given methods only. */
async function run(client: Partial<Driftless>, words: string[], isTerminal = false): Promise<Ran> {
  const { deps, ran } = program(client, isTerminal);
  const code = await runWords(words, deps);
  return { ...ran(), code };
}

function program(client: Partial<Driftless>, isTerminal = false): { deps: ProgramDeps; ran: () => Omit<Ran, 'code'> } {
  const out = collector();
  const err = collector();
  const records: string[] = [];
  const deps: ProgramDeps = {
    run: {
      settings: { home: '/nowhere', auth: undefined, password: undefined, configHome: '/nowhere', program: ['driftless'] },
      client: async () => client as Driftless,
      clientOf: async () => client as Driftless,
      replaceClient: async () => undefined,
      interruptible: (work) => work(new AbortController().signal),
      tell: () => undefined,
      screen: null,
    },
    out: { stream: out.stream, isTerminal },
    err: { stream: err.stream, isTerminal },
    record: (command, _ms, outcome) => {
      records.push(`${command} ${outcome}`);
    },
    extra: [],
  };
  return { deps, ran: () => ({ out: out.text(), err: err.text(), records }) };
}

const FILE: RestEntry = {
  path: '/r/q3.pdf',
  kind: 'file',
  size: 12_345,
  mtime: '2026-11-20T15:20:31.123456Z',
  version: 7,
  digest: 'ab'.repeat(32),
  executable: false,
  target: null,
  shared: null,
};
const FOLDER: RestEntry = { ...FILE, path: '/r/sub', kind: 'folder', size: 0, digest: null, shared: { role: 'editor', owner: 'alice' } };

async function* entries(...all: RestEntry[]): AsyncGenerator<RestEntry> {
  yield* all;
}

describe('the command line', () => {
  it('has examples in the help of every command, and help is a success', async () => {
    for (const command of COMMANDS) {
      const { code, out } = await run({}, [command.name, '--help']);
      assert.equal(code, 0, command.name);
      assert.match(out, /\nExamples:\n {2}.*driftless /, command.name);
      if (command.name !== 'cat') assert.match(out, /--json/, command.name);
    }
  });

  for (const words of [
    [],
    ['sl'],
    ['ls', '--colour'],
    ['ls', '/a', '/b'],
    ['mv', '/a'],
    ['invite', '/a', 'bob', '--role', 'king'],
    ['ls', '--sort', 'x'],
    ['put', 'x'],
  ]) {
    it(`"${words.join(' ')}" is wrong usage: exit 2, and nothing is printed for a program to read`, async () => {
      const { code, out, err } = await run({}, words);
      assert.deepEqual([code, out], [2, '']);
      assert.notEqual(err, '');
    });
  }

  it('says where help is, unless it knows what was meant', async () => {
    const said = async (words: string[]): Promise<string> => (await run({}, words)).err;
    assert.equal(await said(['nonsense']), `driftless: unknown command 'nonsense'; see "driftless --help"\n`);
    assert.equal(await said(['mv', '/a']), `driftless: missing required argument 'to'; see "driftless mv --help"\n`);
    assert.equal(await said(['ls', '--colour']), `driftless: unknown option '--colour'; see "driftless ls --help"\n`);
    assert.equal(await said(['unlnk']), "driftless: unknown command 'unlnk'\n(Did you mean unlink?)\n");
  });

  it('says what went wrong in one line, with the code, and exits as the table has it', async () => {
    for (const code of ERROR_CODES) {
      const client = { delete: () => Promise.reject(new AppError(code, 'no\nway \u001b[2J')) };
      const ran = await run(client, ['rm', '/x']);
      assert.match(ran.err, /^driftless: no\\x0away \\x1b\[2J(; .*log in with .*)? \((\w+)\)\n$/);
      assert(ran.err.endsWith(` (${code})\n`));
      assert.equal(ran.code, EXIT_CODES[code]);
      assert.deepEqual(ran.records, [`rm ${code}`]);
    }
  });

  it('takes an unexpected failure for internal', async () => {
    const ran = await run({ delete: () => Promise.reject(new TypeError('x is not a function')) }, ['rm', '/x']);
    assert.deepEqual([ran.code, ran.err], [1, 'driftless: x is not a function (internal)\n']);
  });
});

describe('ls', () => {
  it('prints lines for a person', async () => {
    const { out, code, records } = await run({ list: () => entries(FILE, FOLDER) }, ['ls', '/r']);
    assert.equal(code, 0);
    assert.match(
      out,
      /^ {2}12\.3 kB {2}2026-11-2\d \d\d:\d\d {2}q3\.pdf\n {8}- {2}2026-\S+ \S+ {2}sub\/ {2}\(editor, shared by alice\)\n$/,
    );
    assert.deepEqual(records, ['ls done']);
  });

  it('--json prints an array of exactly the promised members', async () => {
    const { out } = await run({ list: () => entries(FILE, FOLDER) }, ['ls', '--json']);
    const { path, kind, size, mtime, version, digest } = FILE;
    assert.deepEqual(JSON.parse(out), [
      { path, kind, size, mtime, version, digest },
      { path: '/r/sub', kind: 'folder', size: 0, mtime, version, digest: null },
    ]);
    assert.deepEqual(JSON.parse((await run({ list: () => entries() }, ['ls', '--json'])).out), []);
  });

  it('passes search, sort and order on, and shows whole paths of what was found', async () => {
    let asked: unknown;
    const list: Driftless['list'] = (path, options) => {
      asked = [path, options];
      return entries(FILE);
    };
    const { out } = await run({ list }, ['ls', '/r', '--search', 'q3', '--sort', 'mtime', '-r']);
    assert.deepEqual(asked, ['/r', { search: 'q3', sort: 'mtime', order: 'desc' }]);
    assert.match(out, / \/r\/q3\.pdf\n$/);
  });

  it('of a file shows that file', async () => {
    async function* none(): AsyncGenerator<RestEntry> {
      yield* [];
      throw new AppError('not_a_folder', 'it is a file');
    }
    const { out, code } = await run({ list: () => none(), entry: async () => FILE }, ['ls', '/r/q3.pdf']);
    assert.equal(code, 0);
    assert.match(out, /q3\.pdf\n$/);
  });

  it('lets nothing of a hostile name reach the terminal, in either form', async () => {
    const hostile = { ...FILE, path: '/r/\u001b]0;x\u0007\u202efdp.\u2028\u009b\r\n' };
    for (const words of [['ls'], ['ls', '--json'], ['ls', '-s', 'x']]) {
      const { out } = await run({ list: () => entries(hostile) }, words, true);
      assert.doesNotMatch(out, /[^\n -~]/);
    }
    assert.equal(JSON.parse((await run({ list: () => entries(hostile) }, ['ls', '--json'])).out)[0].path, hostile.path);
  });
});

describe('published files', () => {
  it('are listed in lines that no name can break', async () => {
    const published = async function* (): AsyncGenerator<RestPublished> {
      yield {
        ...{ publication: '0'.repeat(32), user: 'ali\u001bce', device: '1'.repeat(32), name: 'set/\u202egnp\u0007', path: 'x' },
        ...{ size: 5, digest: '2'.repeat(64), announcedAt: '2026-11-20T15:20:31.000Z', online: false, own: false },
      };
    };
    const { out, code } = await run({ published } as Partial<Driftless>, ['published']);
    assert.equal(code, 0);
    assert.match(out, /^ +5 B .* offline {2}ali\S*ce\/set\/\S*gnp\S*\n$/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    assert.doesNotMatch(out, /[\u001b\u202e\u0007]/);
  });

  it('are fetched from whom and with how much patience as is said', async () => {
    const asked: unknown[] = [];
    const fetch = async (user: string, name: string, local: string, { waitMs }: { waitMs?: number } = {}) => {
      asked.push([user, name, local, waitMs]);
      return { local, bytes: 3, size: 5 };
    };
    for (const words of [
      ['alice/set/a b', '/tmp/x'],
      ['alice/f', '--wait'],
      ['alice/f', '--wait', '1.5'],
    ]) {
      const { code, out } = await run({ fetch } as Partial<Driftless>, ['fetch', ...words]);
      assert.deepEqual([code, out.includes('2 B were there')], [0, true]);
    }
    assert.deepEqual(asked, [
      ['alice', 'set/a b', '/tmp/x', undefined],
      ['alice', 'f', './', Number.POSITIVE_INFINITY],
      ['alice', 'f', './', 1500],
    ]);
    for (const words of [['alice'], ['/x'], ['alice/'], ['alice/f', '--wait', 'long']]) {
      assert.equal((await run({ fetch } as Partial<Driftless>, ['fetch', ...words])).code, 2, words.join(' '));
    }
  });

  it('are published for everyone, for users or for one shared folder, not for a mix', async () => {
    for (const to of [
      ['everyone', 'bob'],
      ['/a', '/b'],
      ['bob', '/a'],
    ]) {
      const { code } = await run({}, ['publish', '.', ...to.flatMap((whom) => ['--to', whom])]);
      assert.equal(code, 2, to.join(' '));
    }
  });
});

describe('public links', () => {
  const LINK: RestLink = {
    id: '01'.repeat(16),
    maker: 'ali\u001bce',
    mode: 'download',
    state: 'open',
    path: '/photos/\u202egnp',
    hasPassword: true,
    createdAt: '2026-11-20T15:20:31.000Z',
    expiresAt: null,
    usesMax: 3,
    uses: 1,
  };

  it('are made as the options say, and the URL is the first line', async () => {
    const asked: unknown[] = [];
    const createLink = async (path: string, options: unknown) => {
      asked.push([path, options]);
      return { ...LINK, url: 'http://127.0.0.1:1/l/token' };
    };
    const { out, code } = await run({ createLink } as Partial<Driftless>, [
      'link',
      '/photos',
      '--expires',
      '7d',
      '--max-uses',
      '3',
      '--both',
    ]);
    assert.deepEqual([code, out.split('\n')[0]], [0, 'http://127.0.0.1:1/l/token']);
    assert.deepEqual(asked, [['/photos', { mode: 'both', expiresInSeconds: 604_800, usesMax: 3 }]]);
    for (const wrong of [
      ['--expires', '7 days'],
      ['--expires', '0d'],
      ['--max-uses', '-1'],
      ['--max-uses', 'x'],
      ['--upload', '--preview-only'],
    ]) {
      assert.equal(
        (await run({ createLink } as Partial<Driftless>, ['link', '/photos', ...wrong])).code,
        EXIT_CODES.request_invalid,
        wrong.join(' '),
      );
    }
    assert.equal(asked.length, 1);
  });

  it('and who used them are shown in lines that no name can break', async () => {
    const links = async function* () {
      yield LINK;
    };
    const shown = await run({ links } as unknown as Partial<Driftless>, ['links']);
    assert.match(shown.out, /^(01){16} {2}open {9}\/photos\/\\u202egnp {2}download, password, no end, 1 of 3 uses, by ali\\x1bce\n$/);
    const access = {
      action: 'download',
      address: '192.0.2.1',
      path: '/a\nb',
      firstAt: LINK.createdAt,
      lastAt: LINK.createdAt,
      requests: 2,
      bytes: 1500,
    };
    const linkLog = async () => [access];
    const log = await run({ linkLog } as unknown as Partial<Driftless>, ['links', '--log', LINK.id]);
    assert.match(log.out, /download {2}192\.0\.2\.1 {2}\/a\\x0ab {2}1\.5 kB, 2 requests\n$/);
  });
});

describe('cat and preview', () => {
  const bytes = Buffer.from([0x68, 0x69, 0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x0a]);

  it('give the bytes into a pipe as they are', async () => {
    const out = new PassThrough();
    const { deps } = program({ read: async () => Readable.from([bytes]) });
    assert.equal(await runWords(['cat', '/x'], { ...deps, out: { stream: out, isTerminal: false } }), 0);
    assert.deepEqual(out.read(), bytes);
  });

  it('show codes on a terminal', async () => {
    const { out } = await run({ read: async () => Readable.from([bytes]) }, ['cat', '/x'], true);
    assert.equal(out, 'hi\\x1b[2J\ufffd\n');
  });

  it('preview --json tells the bytes exactly', async () => {
    const { out } = await run({ preview: async () => bytes }, ['preview', '/x', '--json']);
    const told = JSON.parse(out) as { bytes: number; base64: string };
    assert.deepEqual([told.bytes, Buffer.from(told.base64, 'base64')], [8, bytes]);
  });
});

describe('put and get', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'driftless-program-'));
    await mkdir(join(folder, 'dir'));
    await writeFile(join(folder, 'a.txt'), 'a');
    await writeFile(join(folder, 'b.txt'), 'b');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const REPORT: TransferReport = { files: 1, bytes: 12_345, unchanged: 0, failures: [] };
  async function putTargets(words: string[], answers: TransferReport[] = [REPORT]): Promise<string[][]> {
    const calls: string[][] = [];
    const put: Driftless['put'] = async (sources) => {
      calls.push(sources.map((source) => source.remote));
      return answers[Math.min(calls.length, answers.length) - 1] ?? REPORT;
    };
    const ran = await run({ put }, ['put', ...words.map((word) => word.replace(/^@/, `${folder}/`))]);
    assert.equal(ran.code, 0, ran.err);
    return calls;
  }

  it('a folder becomes the target', async () => {
    assert.deepEqual(await putTargets(['@dir', '/x']), [['/x']]);
    assert.deepEqual(await putTargets(['@dir', '/x/']), [['/x']]);
    assert.deepEqual(await putTargets(['@dir', '/']), [['/']]);
  });

  it('a file becomes the target, or goes into it with a slash at the end', async () => {
    assert.deepEqual(await putTargets(['@a.txt', '/x']), [['/x']]);
    assert.deepEqual(await putTargets(['@a.txt', '/x/']), [['/x/a.txt']]);
    assert.deepEqual(await putTargets(['@a.txt', '/']), [['/a.txt']]);
  });

  it('a file goes into the folder that is found there', async () => {
    const refusal: TransferReport = {
      files: 0,
      bytes: 0,
      unchanged: 0,
      failures: [{ path: 'a', code: 'not_a_file', message: 'a folder is there' }],
    };
    assert.deepEqual(await putTargets(['@a.txt', '/x'], [refusal, REPORT]), [['/x'], ['/x/a.txt']]);
  });

  it('several go into the target', async () => {
    assert.deepEqual(await putTargets(['@a.txt', '@dir', '@b.txt', '/x']), [['/x/a.txt', '/x/dir', '/x/b.txt']]);
    const clash = await run({}, ['put', join(folder, 'a.txt'), join(folder, 'dir', '..', 'a.txt'), '/x']);
    assert.deepEqual([clash.code, clash.err], [2, 'driftless: two of these would become /x/a.txt (request_invalid)\n']);
  });

  it('one of several that is not there fails alone', async () => {
    const put = async (sources: readonly { remote: string }[]): Promise<TransferReport> => ({ ...REPORT, files: sources.length });
    const { code, out, err } = await run({ put }, ['put', join(folder, 'a.txt'), join(folder, 'none.txt'), join(folder, 'b.txt'), '/x']);
    assert.equal(code, 1);
    assert.match(out, /^2 files sent, .*1 failed/);
    assert.match(err, /^driftless: .*none\.txt: there is no such file or folder \(local_io\)\n$/);
  });

  it('what cannot be read is said in words where there are some', () => {
    const error = (code: string): Error => Object.assign(new Error('no'), { code });
    assert.equal(unreadableText(error('ENOENT')), 'there is no such file or folder');
    assert.equal(unreadableText(error('EACCES')), 'cannot be read (EACCES)');
  });

  it('a remote path must be one', async () => {
    assert.equal((await run({}, ['put', join(folder, 'a.txt'), 'x'])).code, 2);
    assert.equal((await run({}, ['put', join(folder, 'a.txt'), '/x/../y'])).code, 2);
  });

  it('get puts a file into a folder that is there, or is named as one', async () => {
    const calls: string[] = [];
    const inTheWay: TransferReport = {
      files: 0,
      bytes: 0,
      unchanged: 0,
      failures: [{ path: '/r/q3.pdf', code: 'already_exists', message: 'a folder is in the way' }],
    };
    const client: Partial<Driftless> = {
      entry: async () => FILE,
      get: async ([source]) => {
        const target = source?.local.slice(folder.length) ?? '';
        calls.push(target);
        return source?.remote === '/r/q3.pdf' && /^\/dir\/?$/.test(target) ? inTheWay : REPORT;
      },
    };
    for (const [remote, local] of [
      ['/r/q3.pdf', 'dir'],
      ['/r/q3.pdf', 'new'],
      ['/r/q3.pdf', 'new/'],
      ['/r/sub', 'dir'],
      ['/', 'dir/'],
    ] as const) {
      assert.equal((await run(client, ['get', remote, `${folder}/${local}`])).code, 0);
    }
    assert.deepEqual(calls, ['/dir', '/dir/q3.pdf', '/new', '/new/q3.pdf', '/dir', '/dir/']);
  });

  it('sum up in one line, or as JSON', async () => {
    const report: TransferReport = { files: 1234, bytes: 12_345_678, unchanged: 5, failures: [] };
    const put = async () => report;
    assert.match((await run({ put }, ['put', folder, '/x'])).out, /^1,234 files sent, 12\.3 MB, 5 unchanged, in \d+\.\d s\n$/);
    assert.deepEqual(JSON.parse((await run({ put }, ['put', folder, '/x', '--json'])).out), report);
  });

  it('name each file that failed at the end, and exit 1', async () => {
    const failures = [
      { path: '/x/a\nb', code: 'forbidden', message: 'only to be read' },
      { path: '/x/c', code: 'file_changed', message: '/x/c: it changed while it was read' },
    ] as const;
    const { code, out, err, records } = await run({ put: async () => ({ ...REPORT, failures }) }, ['put', folder, '/x']);
    assert.equal(code, 1);
    assert.match(out, /1 file sent, 12\.3 kB, 2 failed/);
    assert.equal(err, 'driftless: /x/a\\x0ab: only to be read (forbidden)\ndriftless: /x/c: it changed while it was read (file_changed)\n');
    assert.deepEqual(records, ['put failed']);
  });

  it('one file that failed is that failure', async () => {
    const report: TransferReport = {
      files: 0,
      bytes: 0,
      unchanged: 0,
      failures: [{ path: '/x', code: 'storage_full', message: 'no space left' }],
    };
    const { code, out, err } = await run({ put: async () => report }, ['put', join(folder, 'a.txt'), '/x']);
    assert.deepEqual([code, out, err], [6, '', 'driftless: /x: no space left (storage_full)\n']);
  });
});

describe('the shell in a pipe', () => {
  async function shell(lines: string): Promise<Ran & { said: string }> {
    const { deps, ran } = program({
      list: (path) => (path === '/none' ? entriesOfNothing() : entries({ ...FILE, path: `${path}/f` })),
      delete: async () => undefined,
      entry: async () => FILE,
      put: async () => ({ files: 1, bytes: 1, unchanged: 0, failures: [] }),
    });
    const said = collector();
    const code = await runShell({
      input: Readable.from([lines]),
      output: said.stream,
      isTerminal: false,
      words: [],
      runWords: (words) => runWords(words, deps),
      prompt: { tell: null },
    });
    return { ...ran(), code, said: said.text() };
  }
  async function* entriesOfNothing(): AsyncGenerator<RestEntry> {
    yield* [];
    throw new AppError('not_found', 'no');
  }

  it('runs each line, knows the other words, and ends at quit', async () => {
    const { code, out, records } = await shell(
      `ls /a\n\n# nothing\nlist "/b c" --json\nupload /etc/hostname /x\ndelete /x\nquit\nls /never\n`,
    );
    assert.equal(code, 0);
    assert.deepEqual(records, ['ls done', 'ls done', 'put done', 'rm done']);
    assert.match(out, /"\/b c\/f"/);
  });

  it('goes on after a failure and ends with the code of the first', async () => {
    const { code, records, said } = await shell(`ls /none\nls 'open\nsl\nls /a`);
    assert.equal(code, 4);
    assert.deepEqual(records, ['ls not_found', 'ls done']);
    assert.match(said, /not closed \(request_invalid\)/);
  });
});
