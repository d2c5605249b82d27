import { parseArgs } from 'node:util';
import { killFollowers } from './event_kills.ts';

/** `npm run test:event-kills -- [--kills 20] [--seed S]` */
const { values } = parseArgs({ options: { kills: { type: 'string', default: '20' }, seed: { type: 'string' } } });
const kills = Number(values.kills);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
console.log(`seed ${seed}`);
const { changes, again, servers } = await killFollowers({ kills, serverKills: Math.ceil(kills / 5), seed });
console.log(`${kills} followers and ${servers} servers killed: ${changes} changes, each seen, ${again} again because they were not marked`);
