-- Which nodes have these three letters next to each other in their folded name, and which are in a space, the newest first.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX nodes_name ON nodes USING gin (key gin_trgm_ops) WHERE deleted_seq IS NULL;
CREATE INDEX nodes_space ON nodes (space, id) WHERE deleted_seq IS NULL;
