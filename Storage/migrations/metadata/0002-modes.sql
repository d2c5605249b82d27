-- Permission bits (the low nine of a mode) instead of the executable bit alone. A symlink has all of them, as systems show it.

ALTER TABLE nodes RENAME COLUMN executable TO mode;
UPDATE nodes SET mode = CASE WHEN kind = 2 THEN 511 WHEN mode = 1 OR kind <> 0 THEN 493 ELSE 420 END;

ALTER TABLE journal RENAME COLUMN executable TO mode;
UPDATE journal SET mode = CASE WHEN target IS NOT NULL THEN 511 WHEN mode = 1 OR digest IS NULL THEN 493 ELSE 420 END;
