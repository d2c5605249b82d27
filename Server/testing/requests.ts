import assert from 'node:assert/strict';
import { ROUTES } from '../../Models/routes.ts';
import type { Answer, ServerFixture, User } from './server_fixture.ts';

/** What tests of routes ask again and again. @param server asked for once a test runs: it is opened before */
export function requests(server: () => ServerFixture) {
  return {
    get: (user: User, route: string, query: Record<string, string>): Promise<Answer> =>
      server().ask(user, { method: 'GET', url: `${route}?${new URLSearchParams(query)}` }),
    post: (user: User, url: string, payload: object): Promise<Answer> => server().ask(user, { method: 'POST', url, payload }),
    remove: (user: User, path: string): Promise<Answer> =>
      server().ask(user, { method: 'DELETE', url: `${ROUTES.entry}?${new URLSearchParams({ path })}` }),
  };
}

export function ok(answer: Answer): Answer {
  assert.ok(answer.status < 300, `${answer.status} ${answer.bytes}`);
  return answer;
}

export function refused(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, answer.json().code], [status, code]);
}

/** What tests of something else let users do before. @param server as for `requests` */
export function deeds(server: () => ServerFixture) {
  const post = async (user: User, url: string, body?: object): Promise<ReturnType<JSON['parse']>> => {
    const answer = ok(await server().ask(user, { method: 'POST', url, ...(body !== undefined && { payload: body }) }));
    return answer.bytes.length === 0 ? null : answer.json();
  };
  return {
    post,
    mkdir: (user: User, path: string) => post(user, ROUTES.folders, { path }),
    /** @returns where the guest has it */
    async share(owner: User, path: string, guest: User): Promise<string> {
      const { id } = await post(owner, ROUTES.invitations, { path, user: guest.name, role: 'editor' });
      return (await post(guest, `${ROUTES.invitations}/${id}/accept`)).path;
    },
  };
}
