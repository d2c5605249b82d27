import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { UserName } from './rest.ts';

/** The JSON shapes of quotas and of what an administrator allows. */

const Bytes = z.int().min(0);

export const RestUsage = z.object({
  quota: Bytes.nullable().describe('Bytes; null is no limit'),
  live: Bytes.describe('In your home and in the shared folders that you own. This counts against the quota'),
  versions: Bytes.describe('Older contents of files there'),
  trash: Bytes.describe('What was deleted there'),
  shared: Bytes.describe('In folders that others share with you; it counts with them'),
});
export type RestUsage = z.infer<typeof RestUsage>;

const Limit = z.union([Bytes, z.literal('none')]).nullable();
const Types = z
  .array(z.string().regex(/^[a-z0-9]{1,32}$/))
  .max(LIMITS.typesMax)
  .nullable()
  .describe('Extensions without the dot, in lower case, and kinds: image, video, audio, document, archive, code, other');

export const RestLimits = z.object({
  quota: Limit.describe('Bytes, or none; null: not set, as for everybody'),
  fileSize: Limit.describe('Bytes of one file'),
  allowed: Types,
  refused: Types,
});
export type RestLimits = z.infer<typeof RestLimits>;
export const LimitsQuery = z.object({ user: UserName.optional().describe('Without it: what holds for everybody') });
export const LimitsBody = RestLimits.partial()
  .extend({ user: UserName.optional() })
  .refine(({ user: _, ...limits }) => Object.keys(limits).length > 0, 'nothing to set');
