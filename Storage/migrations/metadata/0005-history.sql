-- What is needed to go back: a row of the journal knows the row before it of the same node, and the folder that the node is in from it on.

ALTER TABLE journal ADD COLUMN parent {int8}; -- node; null for a space's root, and where it was moved before rows said so
ALTER TABLE journal ADD COLUMN prev {int8}; -- seq of the node's row before; null for its first. Of an import it is in the journal that the node came from
ALTER TABLE journal ADD COLUMN thinned_at_ms {int8}; -- the policy gave the content of this version up
CREATE INDEX journal_of_before ON journal (node, seq);
UPDATE journal SET prev = (SELECT max(p.seq) FROM journal p WHERE p.node = journal.node AND p.space = journal.space AND p.seq < journal.seq);
UPDATE journal SET prev = (SELECT max(p.seq) FROM journal p JOIN spaces s ON s.id = p.space JOIN spaces o ON o.owner_id = s.home_of
  WHERE o.id = journal.space AND p.node = journal.node AND p.seq < journal.seq AND p.kind <> 6) WHERE kind = 9;
UPDATE journal SET parent = (SELECT n.parent FROM nodes n WHERE n.id = journal.node)
  WHERE NOT EXISTS (SELECT 1 FROM journal m WHERE m.node = journal.node AND m.space = journal.space AND m.kind = 3 AND m.seq > journal.seq);
DROP INDEX journal_of_before;

ALTER TABLE commits ADD COLUMN reason {text}; -- rewind, undo; null for what somebody did without going back
CREATE INDEX commits_time ON commits (space, at_ms);

CREATE INDEX nodes_gone ON nodes (space, deleted_seq) WHERE deleted_seq IS NOT NULL;
CREATE INDEX nodes_gone_child ON nodes (parent, key) WHERE deleted_seq IS NOT NULL;

-- Versions that are kept whatever the policy says.
CREATE TABLE pins (
  space {int8} NOT NULL,
  seq {int8} NOT NULL,
  user_name {text} NOT NULL,
  at_ms {int8} NOT NULL,
  PRIMARY KEY (space, seq)
) {strict_clustered};

-- How far the journal of a space was thinned.
CREATE TABLE thinning (
  space {int8} NOT NULL PRIMARY KEY,
  daily_seq {int8} NOT NULL, -- up to it one version a day was kept
  weekly_seq {int8} NOT NULL -- up to it one a week
) {strict_clustered};
