import { z } from 'zod';
import { LIMITS } from './limits.ts';

const paths = z.array(z.string().min(1).max(LIMITS.pathBytesMax)).min(1).max(LIMITS.treePathsMax);

/** What a tree request asks: exactly one of these. */
export const TreeRequest = z.union([
  z.strictObject({ list: paths.describe('entries of these folders') }),
  z.strictObject({ stat: paths.describe('these entries') }),
  z.strictObject({ walk: z.string().min(1).max(LIMITS.pathBytesMax).describe('paths of all folders below this one, itself first') }),
  z.strictObject({ manifests: paths.describe('chunks of these files') }),
  z.strictObject({
    manifest: z.string().min(1).max(LIMITS.pathBytesMax).describe('chunks of this file'),
    against: z.int().min(0).describe('told as runs of this older version of it'),
  }),
  z.strictObject({
    since: z
      .strictObject({ root: z.string().min(1).max(LIMITS.pathBytesMax), cursor: z.string().min(1).nullable() })
      .describe('nodes below this folder that changed behind the cursor; without one all of them'),
  }),
]);
export type TreeRequest = z.infer<typeof TreeRequest>;
