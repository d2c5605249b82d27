import type { Action, Plan, PlanInput } from '../core/actions.ts';
import { planWith, STAGES, type Stages } from '../core/plan.ts';
import { sameContent } from '../core/trees.ts';
import type { Planner } from './plan_run.ts';

export type PlanMutant = { readonly name: string; readonly mistake: string; readonly planner: Planner };

function withStages(replaced: Partial<Stages>): Planner {
  return (input) => planWith({ ...STAGES, ...replaced }, input);
}

function withActions(change: (steps: Action[][], input: PlanInput) => Action[][]): Planner {
  return (input) => {
    const plan = planWith(STAGES, input);
    return {
      ...plan,
      steps: change(
        plan.steps.map((step) => [...step]),
        input,
      ).filter((step) => step.length > 0),
    };
  };
}

/** Planners with one mistake each. What the planner is tested with must find every one of them. */
export const PLAN_MUTANTS: readonly PlanMutant[] = [
  {
    name: 'M19',
    mistake: 'a delete wins over a concurrent edit',
    planner: withStages({
      decideFates(trees, rules) {
        const fates = STAGES.decideFates(trees, rules);
        return (id) => {
          const fate = fates(id);
          const oneSided = trees.local.get(id) === undefined ? 'remote' : 'local';
          const deleted = trees.ancestor.get(id)?.kind === 'file' && (trees.local.get(id) ?? trees.remote.get(id)) !== undefined;
          return fate.type === 'lives' &&
            fate.content === oneSided &&
            deleted &&
            trees[oneSided === 'local' ? 'remote' : 'local'].get(id) === undefined
            ? { type: 'dies', side: oneSided }
            : fate;
        };
      },
    }),
  },
  {
    name: 'M23',
    mistake: 'folders are deleted before what is in them has moved out',
    planner: withActions((steps, input) => {
      const isFolderDelete = (action: Action): boolean => action.type === 'delete' && input[action.side].get(action.id)?.kind === 'folder';
      return [steps.flat().filter(isFolderDelete), ...steps.map((step) => step.filter((action) => !isFolderDelete(action)))];
    }),
  },
  {
    name: 'M11',
    mistake: 'the name of a copy tells neither the device nor the version',
    planner: (input) => renamedCopies(planWith(STAGES, input)),
  },
  {
    name: 'cycle',
    mistake: 'moves of both sides that make a circle are both kept',
    planner: withStages({ mergePlaces: (trees) => STAGES.mergePlaces(trees, []) }),
  },
  {
    name: 'slot',
    mistake: 'a name is taken before it is free',
    planner: withActions((steps) => {
      const isParking = (action: Action): boolean => action.type === 'move' && / \(moving [0-9a-f]{6}\)$/.test(action.name);
      return steps.map((step) => step.filter((action) => !isParking(action)));
    }),
  },
  {
    name: 'record',
    mistake: 'sides that differ are recorded as agreed',
    planner: withActions((steps, input) => [
      ...steps,
      [...input.changed].filter((id) => !input.held(id)).map((id): Action => ({ type: 'record', id })),
    ]),
  },
  { name: 'held', mistake: 'what is held is touched', planner: (input) => planWith(STAGES, { ...input, held: () => false }) },
  {
    name: 'below held',
    mistake: 'what is below something held is touched',
    planner: withStages({ frozenNodes: (_trees, seed) => seed }),
  },
  {
    name: 'set aside',
    mistake: 'the local version of something edited twice is not set aside',
    planner: withActions((steps) => {
      const aside = new Set(steps.flat().flatMap((action) => (action.type === 'set_aside' ? [action.id] : [])));
      return steps.map((step) =>
        step
          .filter((action) => action.type !== 'set_aside')
          .map((action) =>
            action.type === 'put' && action.side === 'local' && aside.has(action.id)
              ? { type: 'replace', side: 'local', id: action.id }
              : action,
          ),
      );
    }),
  },
  {
    name: 'unread',
    mistake: 'a file that was not read is taken for unchanged',
    planner: (input) => {
      const get: PlanInput['local']['get'] = (id) => {
        const node = input.local.get(id);
        return node?.content === null ? { ...node, content: input.ancestor.get(id)?.content ?? 'c0ffee' } : node;
      };
      return planWith(STAGES, {
        ...input,
        local: { get, children: (parent) => input.local.children(parent), named: (parent, key) => input.local.named(parent, key) },
      });
    },
  },
  {
    name: 'name taken',
    mistake: 'two that want one name both get it',
    planner: withStages({
      claimNames: (input, decided) => ({
        ...STAGES.claimNames(input, { ...decided, freeze: () => undefined }),
        placeOf: decided.places.of,
      }),
    }),
  },
  {
    name: 'pairing',
    mistake: 'what is the same on both sides under one name is not seen to be',
    planner: withStages({ pairNew: () => ({ localOf: new Map(), remoteOf: new Map() }) }),
  },
  {
    name: 'pairing by name',
    mistake: 'new leaves under one name are one, whatever is in them',
    planner: (input) => planWith({ ...STAGES, pairNew: (asked) => STAGES.pairNew(withOneContent(asked)) }, input),
  },
  {
    name: 'local wins',
    mistake: 'what was edited on both sides goes up',
    planner: withStages({
      decideFates(trees, rules) {
        const fates = STAGES.decideFates(trees, rules);
        return (id) => {
          const fate = fates(id);
          return fate.type === 'lives' && fate.content === 'twice' ? { ...fate, content: 'local' } : fate;
        };
      },
    }),
  },
  {
    name: 'forget',
    mistake: 'what a moved folder holds is put again without forgetting that it was agreed on',
    planner: withActions((steps) => steps.map((step) => step.filter((action) => action.type !== 'forget'))),
  },
  {
    name: 'kept folder',
    mistake: 'a deleted folder goes although something in it stays',
    planner: withStages({
      decideFates(trees, rules) {
        const fates = STAGES.decideFates(trees, rules);
        return (id) => {
          const fate = fates(id);
          const node = trees.local.get(id);
          const agreed = trees.ancestor.get(id);
          if (node?.kind !== 'folder' || trees.remote.get(id) !== undefined || agreed === undefined) return fate;
          return fate.type === 'lives' && sameContent(node, agreed) && !rules.places.moved(node) ? { type: 'dies', side: 'local' } : fate;
        };
      },
    }),
  },
];

function renamedCopies(plan: Plan): Plan {
  const renamed = (name: string): string => name.replace(/ \(conflict from .* [0-9a-f]{6}/, ' (conflict');
  return {
    ...plan,
    conflicts: plan.conflicts.map((conflict) => ({ ...conflict, copyName: renamed(conflict.copyName) })),
    steps: plan.steps.map((step) => step.map((action) => ('name' in action ? { ...action, name: renamed(action.name) } : action))),
  };
}

/** As if every file had the same content. */
function withOneContent(input: PlanInput): PlanInput {
  const blind = (tree: PlanInput['local']): PlanInput['local'] => ({
    get(id) {
      const node = tree.get(id);
      return node === undefined || node.kind === 'folder' ? node : { ...node, content: 'same' };
    },
    children: (parent) => tree.children(parent),
    *named(parent, key) {
      for (const node of tree.named(parent, key)) yield node.kind === 'folder' ? node : { ...node, content: 'same' };
    },
  });
  return { ...input, local: blind(input.local), remote: blind(input.remote) };
}
