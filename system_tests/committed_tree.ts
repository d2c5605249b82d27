import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';

/**
 * What the last commit of the project in the folder `root` holds, whoever made it and when, and whoever the checkout belongs to. A copy without git is
 * tested like any other one, also where it lies in somebody's repository: that one's commits say nothing about it.
 */
export function committedTree(root: string): string {
  try {
    const told = execFileSync('git', ['-c', 'safe.directory=*', 'rev-parse', '--show-toplevel', 'HEAD^{tree}'], {
      cwd: root,
      env: withoutGit(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [top = '', tree = ''] = told.split('\n');
    if (realpathSync(top) === realpathSync(root)) return tree;
  } catch {
    // no git, or no commit
  }
  return 'no commit';
}

/** What git runs is told by such names which repository it is about, wherever it looks from. */
export function withoutGit(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')));
}
