import type { Action, Plan } from '../core/actions.ts';
import { ROOT, type TreeNode } from '../core/tree.ts';
import { emptyNodes, type Nodes, type World } from './plan_world.ts';

const FIRST_COPY_ID = 1000;

/**
 * Trees as text: nodes divided by spaces, each `ID@FOLDER/NAME`, then `=CONTENT` for a file, `->TARGET` for a symlink, `/` for a folder; `*MODE` at the end is
 * another mode than the usual one; `_` in a name is a space. The root is 1.
 */
export function worldFrom(
  { agreed = '', local, remote }: { agreed?: string; local: string; remote: string },
  { unread = [], held = [], localFolds = true }: { unread?: number[]; held?: number[]; localFolds?: boolean } = {},
): World {
  return {
    ancestor: nodesFrom(agreed),
    local: nodesFrom(local),
    remote: nodesFrom(remote),
    unread: new Set(unread),
    held: new Set(held),
    localFolds,
    device: 'desk',
    nextId: FIRST_COPY_ID,
  };
}

function nodesFrom(text: string): Nodes {
  const nodes = emptyNodes();
  for (const part of text.split(' ')) {
    if (part === '') continue;
    const node = nodeFrom(part);
    nodes.set(node.id, node);
  }
  return nodes;
}

function nodeFrom(text: string): TreeNode {
  const match = /^(\d+)@(\d+)\/([^=/>*]+?)(\/|=|->)([^*]*)(?:\*(\d+))?$/.exec(text);
  if (match === null) throw new Error(`not a node: ${text}`);
  const [, id, parent, name = '', kind, content = '', mode = '0'] = match;
  const kinds = { '/': 'folder', '=': 'file', '->': 'symlink' } as const;
  const found = kind === '/' || kind === '=' || kind === '->' ? kinds[kind] : 'file';
  return { id: Number(id), parent: Number(parent), name: name.replaceAll('_', ' '), kind: found, content, mode: Number(mode), mtimeUs: 0 };
}

/** Steps divided by ` | `, the actions of one step by `, `, in the order of their text. */
export function planText(plan: Plan): string {
  return plan.steps.map((step) => step.map(actionText).sort().join(', ')).join(' | ');
}

function actionText(action: Action): string {
  switch (action.type) {
    case 'adopt':
      return `adopt ${action.local} as ${action.id}`;
    case 'hash':
    case 'record':
    case 'forget':
      return `${action.type} ${action.id}`;
    case 'set_aside':
      return `set aside ${action.id} as ${action.name}`;
    case 'make':
    case 'put':
    case 'move':
      return `${action.side} ${action.type} ${action.id} ${action.parent === ROOT ? '' : action.parent}/${action.name}`;
    case 'replace':
    case 'touch':
    case 'delete':
      return `${action.side} ${action.type} ${action.id}`;
  }
}
