-- What a member was given, apart from what comes with the shared folder that this one is in; when invitations end and were answered.

ALTER TABLE members ADD COLUMN granted {int8}; -- as role; null for who is a member of the outer folder only
UPDATE members SET granted = role;

ALTER TABLE invitations ADD COLUMN expires_at_ms {int8}; -- null: never
ALTER TABLE invitations ADD COLUMN answered_at_ms {int8}; -- null while pending
UPDATE invitations SET answered_at_ms = created_at_ms WHERE state <> 'pending';

DROP INDEX invitations_to;
DROP INDEX invitations_from;
CREATE INDEX invitations_to ON invitations (to_id, created_at_ms);
CREATE INDEX invitations_from ON invitations (from_id, created_at_ms);

CREATE INDEX nodes_mounted ON nodes (mount) WHERE mount IS NOT NULL;
