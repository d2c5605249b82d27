-- Which nodes have these three letters next to each other in their folded name, by node. `mark` is three letters that stand for the node's space,
-- so that a search never looks at the names of strangers. Dead nodes stay in it. It follows the journals, see name_index.ts.
CREATE VIRTUAL TABLE names USING fts5(key, mark, content='', contentless_delete=1, detail='none', tokenize='trigram case_sensitive 1');

CREATE TABLE name_marks (
  space INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL -- the names of this space are in the index up to this journal row
) STRICT;
