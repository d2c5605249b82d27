import { describe } from 'node:test';
import { contractOfAnchors } from './metadata_contract_anchors.ts';
import { contractOfChanges } from './metadata_contract_changes.ts';
import { contractOfCursors } from './metadata_contract_cursors.ts';
import { contractOfFeed } from './metadata_contract_feed.ts';
import { contractOfMembers } from './metadata_contract_members.ts';
import { contractByModel } from './metadata_contract_model.ts';
import { contractOfNested } from './metadata_contract_nested.ts';
import { contractOfOperations } from './metadata_contract_operations.ts';
import { contractOfReading } from './metadata_contract_reading.ts';
import { contractOfSafety } from './metadata_contract_safety.ts';
import { contractOfSharing } from './metadata_contract_sharing.ts';
import type { OpenPlace } from './metadata_fixture.ts';

/** What every implementation of the metadata port must do. */
export function metadataContract(name: string, open: OpenPlace): void {
  describe(`metadata on ${name}`, () => {
    contractOfOperations(open);
    contractOfAnchors(open);
    contractOfReading(open);
    contractOfSharing(open);
    contractOfMembers(open);
    contractOfNested(open);
    contractOfChanges(open);
    contractOfFeed(open);
    contractOfCursors(open);
    contractOfSafety(open);
    contractByModel(open);
  });
}
