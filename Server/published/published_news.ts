import type { FastifyBaseLogger } from 'fastify';
import type { PublishedMessage } from '../../Models/rest_published.ts';
import type { Publications, Told } from '../../Storage/publications.ts';
import type { Presence } from '../events/presence.ts';

export type PublishedNewsDeps = {
  readonly publications: Pick<Publications, 'toldOf'>;
  readonly presence: Pick<Presence, 'online' | 'everybody' | 'send'>;
  /** Devices by the publication they serve. */
  readonly serving: Pick<Presence, 'onChange'>;
  readonly log: FastifyBaseLogger;
};

type News = Pick<PublishedMessage, 'change'> & Partial<Pick<PublishedMessage, 'files' | 'gone'>>;

const CHARS_MAX = 16 * 1024; // of what is named in one message
const CHARS_ALL_MAX = 1024 * 1024; // and in all that are sent of one change: the more hear of it, the less is named

/**
 * Tells those whom a publication is for, as of then, that files were added or taken away and that its owner came or went. It is a state: it is said
 * once, to who is connected, and whoever connects asks for the list.
 */
export class PublishedNews {
  readonly #deps: PublishedNewsDeps;
  #telling: Promise<void> = Promise.resolve();

  constructor(deps: PublishedNewsDeps) {
    this.#deps = deps;
    deps.serving.onChange(({ deviceId: id }, online) => this.tell(id, { change: online ? 'online' : 'offline' }));
  }

  tell(id: string, news: News): void {
    this.#telling = this.#telling
      .then(async () => {
        const told = await this.#deps.publications.toldOf(id);
        if (told !== null) this.tellNow(told, news);
      })
      .catch((err: unknown) => this.#deps.log.warn({ err }, 'what is published could not be told'));
  }

  tellNow({ publication: { id, userName, name }, readers }: Told, { change, files = [], gone = [] }: News): void {
    const { presence } = this.#deps;
    const devices = readers === 'everyone' ? presence.everybody() : presence.online(new Set(readers));
    if (devices.length === 0) return;
    const room = { chars: Math.min(CHARS_MAX, CHARS_ALL_MAX / devices.length) };
    const told = { files: fitting(files, ({ path }) => path, room), gone: fitting(gone, (path) => path, room) };
    const more = told.files.length < files.length || told.gone.length < gone.length;
    const message: PublishedMessage = { type: 'published', id, user: userName, name, change, ...told, more };
    const text = JSON.stringify(message);
    for (const device of devices) presence.send(device, text);
  }

  /** Nothing more is asked of the store once this has resolved and no one tells. */
  settled(): Promise<void> {
    return this.#telling;
  }
}

function fitting<T>(items: readonly T[], textOf: (item: T) => string, room: { chars: number }): T[] {
  const cut = items.findIndex((item) => {
    room.chars -= textOf(item).length + 100;
    return room.chars < 0;
  });
  return items.slice(0, cut === -1 ? items.length : cut);
}
