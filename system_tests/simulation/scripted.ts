import type { DeviceOptions, UserAction } from './history.ts';
import { live } from './live_step.ts';
import { settle } from './settle.ts';
import { REMOTE_ROOT, type SimDevice } from './sim_device.ts';
import { principalOf, type SimFolder } from './sim_server.ts';
import { type Plants, Violation, World } from './world.ts';

/** A story that is told on purpose, because chance seldom tells it. Throws `Violation`. */
type Story = (world: World, one: SimDevice, other: SimDevice) => Promise<void>;

const PLAIN: DeviceOptions = { foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 0.001, skewMs: 0 };

function write(world: World, device: SimDevice, path: string, id: number, size = 60): void {
  act(world, device, { kind: 'write', path, content: { id, size } });
}

function act(world: World, device: SimDevice, action: UserAction): void {
  world.pause(1000);
  world.act(device, action);
}

function mustHold(holds: boolean, invariant: string, message: string): void {
  if (!holds) throw new Violation(invariant, message);
}

async function nodeOf(world: World, path: string): Promise<number | undefined> {
  const [entry] = await world.server.metadata.stat(principalOf(world.users[0] ?? '', 0), [`${REMOTE_ROOT}/${path}`]);
  return entry?.nodeId;
}

export const STORIES: Readonly<Record<string, Story>> = {
  'a folder that is not mounted is not one in which all was deleted': async (world, one, other) => {
    for (const [at, path] of ['f', 'g', 'a/h'].entries()) write(world, one, path, at + 1);
    await settle(world);
    other.unmount();
    await world.pass(other, false, []);
    mustHold(other.engine.held.length > 0, 'I11', 'the folder is gone, and nobody is asked');
    await world.pass(one, false, []);
    mustHold(one.user.find('f') !== null, 'I11', 'what is not mounted there was deleted here');
    other.mount();
    await settle(world);
  },

  'a name in other letters is the same node': async (world, one) => {
    write(world, one, 'a', 1);
    await settle(world);
    const before = await nodeOf(world, 'a');
    act(world, one, { kind: 'move', path: 'a', to: 'A' });
    await settle(world);
    mustHold((await nodeOf(world, 'A')) === before && before !== undefined, 'I10', 'a rename made another node');
  },

  'an old copy of the index is noticed': async (world, one) => {
    write(world, one, 'f', 1);
    await settle(world);
    await one.backUpIndex();
    write(world, one, 'g', 2);
    await settle(world);
    await one.restoreIndex();
    world.loosen();
    one.events.length = 0;
    await world.pass(one, false, []);
    mustHold(
      one.events.some(({ type }) => type === 'healed'),
      'I9',
      'an old index is believed',
    );
    await settle(world);
  },

  'an index that was copied to another device does nothing there before a person was asked': async (world, one, other) => {
    for (const [at, path] of ['f', 'g', 'a/h'].entries()) write(world, one, path, at + 1);
    await settle(world);
    write(world, one, 'new', 4);
    await settle(world);
    await other.cloneIndex(one);
    other.user.remove('f');
    const { effects } = other;
    await world.pass(other, false, []);
    mustHold(other.engine.held.length > 0 && other.effects === effects, 'I11', 'the index of another folder is believed');
    mustHold((await nodeOf(world, 'f')) !== undefined, 'I11', 'what another folder lacks was deleted');
  },

  'a server that was restored is noticed, and nothing is deleted for it': async (world, one) => {
    write(world, one, 'f', 1);
    await settle(world);
    await world.server.backUp();
    write(world, one, 'g', 2);
    await settle(world);
    await world.server.restore(true);
    world.loosen();
    await settle(world);
  },

  'what was done is known to be done although the answer was lost': async (world, one) => {
    write(world, one, 'f', 1);
    write(world, one, 'g', 2);
    await settle(world);
    act(world, one, { kind: 'remove', path: 'f' });
    act(world, one, { kind: 'move', path: 'g', to: 'h' });
    one.events.length = 0;
    await world.pass(one, false, [{ on: 'net', nth: 2, when: 'before', effect: { kind: 'drop_reply' } }]); // the first asks what is new
    const sent = one.events.flatMap((event) => (event.type === 'done' && event.done.direction === 'up' ? [event.done.kind] : []));
    mustHold(sent.includes('delete') && sent.includes('move'), 'I5', `an operation was refused the second time: ${sent.join(', ')}`);
    await settle(world);
  },

  'a folder that is moved while the process dies is in one place': async (world, one, other) => {
    write(world, one, 'a/f', 1);
    write(world, one, 'c/g', 2);
    await settle(world);
    for (let nth = 1; nth <= 40; nth += 1) {
      const [from, to] = nth % 2 === 1 ? ['a', 'c/a'] : ['c/a', 'a'];
      act(world, one, { kind: 'move', path: from, to });
      await world.pass(one, false, []);
      await world.pass(other, false, [{ on: 'disk', nth, name: null, effect: { kind: 'kill' } }]);
      await settle(world);
      const paths = [one, other].flatMap(({ user }) => user.walk(['.driftless']).map(({ path }) => path));
      const wrong = paths.filter((path) => path === from || path.includes('conflict'));
      mustHold(wrong.length === 0, 'I10', `killed at call ${nth} of a move, and there is ${wrong.join(', ')}`);
    }
  },

  'what was fetched just before the process died is not taken for what a person did': async (world, one, other) => {
    for (let nth = 1; nth <= 60; nth += 1) {
      const path = `f${nth}`;
      write(world, one, path, nth);
      write(world, one, 'steady', 1000 + nth);
      await world.pass(one, false, []);
      await world.pass(other, false, [{ on: 'disk', nth, name: null, effect: { kind: 'kill' } }]);
      act(world, one, { kind: 'remove', path });
      write(world, one, 'steady', 2000 + nth);
      await world.pass(one, false, []);
      await settle(world);
      const left = [one, other].flatMap(({ user }) => user.walk(['.driftless']).map((found) => found.path));
      const wrong = left.filter((found) => found === path || found.includes('conflict'));
      mustHold(wrong.length === 0, 'I2', `killed at call ${nth} of a pass, and there is ${wrong.join(', ')}`);
    }
  },

  'what was sent without an answer is no conflict with what a person wrote since': async (world, one) => {
    write(world, one, 'old', 1);
    await settle(world);
    for (const drop of ['drop_reply', 'kill'] as const) {
      write(world, one, 'old', drop === 'kill' ? 11 : 21);
      write(world, one, `new ${drop}`, drop === 'kill' ? 12 : 22);
      const lost = { on: 'net', nth: 2, when: 'after' } as const;
      const effect = drop === 'kill' ? ({ kind: 'kill' } as const) : ({ kind: 'drop_reply' } as const);
      await world.pass(
        one,
        false,
        [1, 2, 3, 4, 5, 6, 7, 8, 9].map((more) => ({ ...lost, nth: 1 + more, effect })),
      );
      write(world, one, 'old', drop === 'kill' ? 13 : 23);
      write(world, one, `new ${drop}`, drop === 'kill' ? 14 : 24);
      await settle(world);
      const copies = one.user.walk(['.driftless']).filter(({ path }) => path.includes('conflict'));
      mustHold(copies.length === 0, 'I7', `after ${drop} there is ${copies.map(({ path }) => path).join(', ')}`);
    }
  },

  'what is ignored from now on stays where it is': async (world, one, other) => {
    write(world, one, 'f', 1);
    write(world, one, 'g', 2);
    await settle(world);
    one.user.write('.driftlessignore', Buffer.from('f\n'));
    world.ledger.observe(new Map(), new Map([[IGNORE_KEY, 1]]), { what: 'the ignore file' });
    for (let round = 0; round < 4; round += 1) {
      world.pause(10_000);
      for (const device of [one, other]) await world.pass(device, false, []);
    }
    mustHold(one.user.find('f') !== null, 'I1', 'what is ignored was deleted');
    mustHold(other.user.find('f') !== null, 'I1', 'what is ignored was deleted on the other device');
    mustHold((await nodeOf(world, 'f')) !== undefined, 'I1', 'what is ignored was deleted on the server');
  },

  'a name that is not UTF-8 is told of': async (world, one) => {
    one.user.makeUndecodable('', Uint8Array.of(0x66, 0xff));
    await world.pass(one, false, []);
    mustHold(
      one.index.problems().some(({ reason }) => reason === 'name_not_utf8'),
      'I13',
      'a name that is not UTF-8 was passed over in silence',
    );
  },

  'a folder that cannot be read is not an empty one': async (world, one, other) => {
    write(world, one, 'a/f', 1);
    write(world, one, 'g', 2);
    await settle(world);
    for (let nth = 1; nth <= 30; nth += 1) {
      await world.pass(other, false, [{ on: 'disk', nth, name: null, effect: { kind: 'error', code: 'EIO', times: 1000 } }]);
    }
    await world.pass(one, false, []);
    mustHold(one.user.find('a/f') !== null, 'I13', 'an error was taken for an absence');
    await settle(world);
  },

  'a change that looks like none is found': async (world, one) => {
    write(world, one, 'f', 1);
    await settle(world);
    act(world, one, { kind: 'quiet', path: 'f', id: 2 });
    await settle(world);
  },

  'what nobody was told of is found by looking at everything': async (world, one) => {
    write(world, one, 'f', 1);
    await settle(world);
    write(world, one, 'a/b/g', 2);
    write(world, one, 'f', 3);
    one.hints.clear();
    await settle(world);
  },

  'content of which the server only believes to have it is sent': async (world, one) => {
    write(world, one, 'f', 1);
    await settle(world);
    write(world, one, 'g', 2, 20_000);
    await settle(world);
  },

  'a watcher that loses everything, and a server that tells nothing': async (world, one, other) => {
    write(world, one, 'f', 1);
    await settle(world);
    const save = (device: number, path: string, id: number) =>
      ({ afterMs: 60_000, device, action: { kind: 'save', path, content: { id, size: 60 } } }) as const;
    await live(world, {
      watch: { seed: 1, drop: 1, late: 0, duplicate: 0, coalesce: 0, overflow: 0, ignored: 0 },
      actions: [save(0, 'f', 2), save(1, 'a/g', 3)],
      sleepMs: 0,
      passFaults: [],
    });
    mustHold(one.user.find('a/g') !== null && other.user.find('a/g') !== null, 'I6', 'what nobody told of was not found');
    await settle(world);
  },

  'two people change a file in the same moment': async (world, one, other) => {
    write(world, one, 'f', 1);
    await settle(world);
    write(world, one, 'f', 2);
    write(world, other, 'f', 3);
    const pass = { kind: 'pass', device: one.number, faults: [] } as const;
    await world.pass(other, false, [{ on: 'net', nth: 2, when: 'before', effect: pass }]);
    await settle(world);
  },

  'what is put into a folder that is deleted at this moment comes to everybody': async (world, one, other) => {
    write(world, one, 'a/f', 1);
    write(world, one, 'g', 2);
    await settle(world);
    act(world, one, { kind: 'remove', path: 'a' });
    write(world, other, 'a/new', 3);
    const pass = { kind: 'pass', device: one.number, faults: [] } as const;
    for (const nth of [2, 3]) await world.pass(other, false, [{ on: 'net', nth, when: 'before', effect: pass }]);
    await settle(world);
  },
};

const IGNORE_KEY = 'a9fcd54b25e7e863d72cd47c08af46e61b74b561';

/** @returns what went wrong, `null`: nothing */
export async function runStory(name: string, folder: SimFolder, plants: Plants = {}): Promise<Violation | null> {
  const story = STORIES[name];
  if (story === undefined) throw new RangeError(`no story ${name}`);
  const world = await World.open({ tickMs: 0.01, devices: [PLAIN, PLAIN] }, folder, plants);
  try {
    await story(world, world.device(0), world.device(1));
    return null;
  } catch (error) {
    if (error instanceof Violation) return error;
    throw error;
  } finally {
    await world.close();
  }
}
