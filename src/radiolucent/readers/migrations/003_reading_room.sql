-- What a mark is and how sure the reader is of it; marks that the last save took away; who settles what readers said.
ALTER TABLE regions ADD COLUMN type TEXT;
ALTER TABLE regions ADD COLUMN confidence INTEGER CHECK (confidence BETWEEN 1 AND 5);
ALTER TABLE readings ADD COLUMN removed TEXT;         -- JSON of marks, so that nothing is lost when a case is left
ALTER TABLE readers ADD COLUMN role TEXT NOT NULL DEFAULT 'reader' CHECK (role IN ('reader', 'adjudicator'));

-- A session opens with its cookie and with a key that only its own page has: cookies are sent to every port.
DELETE FROM sessions;
ALTER TABLE sessions ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN seen TEXT NOT NULL DEFAULT '';

-- A flag and a comment to the organiser: beside the reading, and open after its lock.
CREATE TABLE notes (
  case_id TEXT NOT NULL REFERENCES cases,
  reader INTEGER NOT NULL REFERENCES readers,
  flagged INTEGER NOT NULL CHECK (flagged IN (0, 1)),
  comment TEXT NOT NULL DEFAULT '',
  saved TEXT NOT NULL,
  PRIMARY KEY (case_id, reader)
) WITHOUT ROWID;

-- "cannot be assessed" is an answer too: it says nothing of findings, and asks for no confidence.
DROP TRIGGER readings_lock;
CREATE TRIGGER readings_lock BEFORE UPDATE ON readings WHEN OLD.state = 'draft' AND NEW.state = 'locked' AND (
  NEW.label IS NULL OR NEW.locked IS NULL OR NEW.seal IS NULL
  OR CASE NEW.label WHEN 'cannot be assessed'
    THEN NEW.finding IS NOT NULL OR EXISTS (SELECT 1 FROM regions g WHERE g.reading = OLD.id)
    ELSE NEW.finding IS NULL OR NEW.confidence IS NULL
      OR (NEW.finding = 1) <> EXISTS (SELECT 1 FROM regions g WHERE g.reading = OLD.id) END)
BEGIN SELECT RAISE(ABORT, 'incomplete: a reading is locked with finding, label, confidence and regions that fit'); END;
DROP TRIGGER finals_update;
CREATE TRIGGER finals_update BEFORE UPDATE ON finals WHEN OLD.finished IS NOT NULL OR NEW.reading <> OLD.reading
  OR (NEW.finished IS NOT NULL AND (NEW.label IS NULL OR NEW.agree IS NULL
    OR (NEW.confidence IS NULL AND NEW.label <> 'cannot be assessed')))
BEGIN SELECT RAISE(ABORT, 'locked: a finished answer stays, and is finished when complete'); END;
