-- A reading study. Times are ISO 8601 in UTC; coordinates are source pixels.
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE cases (
  id TEXT PRIMARY KEY CHECK (length(id) = 12),     -- opaque: says nothing of the film
  image_id TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  patient_id TEXT,
  label TEXT,
  height INTEGER NOT NULL CHECK (height > 0),
  width INTEGER NOT NULL CHECK (width > 0),
  sha256 TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE readers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 80), created TEXT NOT NULL);

-- Only hashes of secrets are kept. A token without reader is the organiser's.
CREATE TABLE tokens (hash TEXT PRIMARY KEY, reader INTEGER REFERENCES readers, created TEXT NOT NULL, used TEXT) WITHOUT ROWID;
CREATE TABLE sessions (hash TEXT PRIMARY KEY, reader INTEGER REFERENCES readers, created TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  case_id TEXT NOT NULL REFERENCES cases,
  reader INTEGER NOT NULL REFERENCES readers,
  revision INTEGER NOT NULL CHECK (revision >= 1),
  save TEXT NOT NULL,                               -- the browser's name for the last save: a repeated one is not a new one
  state TEXT NOT NULL CHECK (state IN ('draft', 'locked')),
  finding INTEGER CHECK (finding IN (0, 1)),        -- NULL: not said yet
  label TEXT,
  confidence INTEGER CHECK (confidence BETWEEN 1 AND 5),
  statement TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL DEFAULT 0 CHECK (seconds >= 0),
  opened TEXT NOT NULL,
  saved TEXT NOT NULL,
  locked TEXT,
  seal TEXT,                                        -- SHA-256 of what was locked
  UNIQUE (case_id, reader)
);

CREATE TABLE regions (
  id INTEGER PRIMARY KEY,
  reading INTEGER NOT NULL REFERENCES readings,
  place INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('box', 'polygon')),
  points TEXT NOT NULL,                             -- JSON [[x, y], ...]; a box by its two corners
  UNIQUE (reading, place)
);

-- What the reader says after the reveal.
CREATE TABLE finals (
  reading INTEGER PRIMARY KEY REFERENCES readings,
  revision INTEGER NOT NULL CHECK (revision >= 1),
  save TEXT NOT NULL,
  label TEXT,
  confidence INTEGER CHECK (confidence BETWEEN 1 AND 5),
  agree TEXT CHECK (agree IN ('agree', 'partly', 'disagree')),
  why TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL DEFAULT 0 CHECK (seconds >= 0),
  saved TEXT NOT NULL,
  finished TEXT
);

CREATE TABLE events (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, reader INTEGER, case_id TEXT, what TEXT NOT NULL, detail TEXT NOT NULL DEFAULT ''
);

-- A locked reading and its regions never change, whoever asks. REPLACE deletes rows without firing delete triggers,
-- so that an insert or update that would collide with a locked row is refused before it happens.
CREATE TRIGGER readings_insert BEFORE INSERT ON readings WHEN NEW.state <> 'draft' OR EXISTS (
  SELECT 1 FROM readings r WHERE r.state = 'locked' AND (r.id = NEW.id OR (r.case_id = NEW.case_id AND r.reader = NEW.reader)))
BEGIN SELECT RAISE(ABORT, 'locked: a locked reading cannot be replaced, nor one be made locked'); END;

CREATE TRIGGER readings_update BEFORE UPDATE ON readings WHEN OLD.state = 'locked' OR EXISTS (
  SELECT 1 FROM readings r WHERE r.state = 'locked' AND (r.id = NEW.id OR (r.case_id = NEW.case_id AND r.reader = NEW.reader)))
BEGIN SELECT RAISE(ABORT, 'locked: a locked reading cannot be changed'); END;

CREATE TRIGGER readings_lock BEFORE UPDATE ON readings WHEN OLD.state = 'draft' AND NEW.state = 'locked' AND (
  NEW.finding IS NULL OR NEW.label IS NULL OR NEW.confidence IS NULL OR NEW.locked IS NULL OR NEW.seal IS NULL
  OR (NEW.finding = 1) <> EXISTS (SELECT 1 FROM regions g WHERE g.reading = OLD.id))
BEGIN SELECT RAISE(ABORT, 'incomplete: a reading is locked with finding, label, confidence and regions that fit'); END;

CREATE TRIGGER readings_delete BEFORE DELETE ON readings WHEN OLD.state = 'locked'
BEGIN SELECT RAISE(ABORT, 'locked: a locked reading cannot be deleted'); END;

CREATE TRIGGER regions_insert BEFORE INSERT ON regions WHEN EXISTS (
  SELECT 1 FROM readings r WHERE r.state = 'locked' AND (
    r.id = NEW.reading OR r.id = (SELECT g.reading FROM regions g WHERE g.id = NEW.id)))
BEGIN SELECT RAISE(ABORT, 'locked: regions of a locked reading cannot be added or replaced'); END;

CREATE TRIGGER regions_update BEFORE UPDATE ON regions WHEN EXISTS (
  SELECT 1 FROM readings r WHERE r.state = 'locked' AND (
    r.id IN (OLD.reading, NEW.reading) OR r.id = (SELECT g.reading FROM regions g WHERE g.id = NEW.id)))
BEGIN SELECT RAISE(ABORT, 'locked: regions of a locked reading cannot be changed'); END;

CREATE TRIGGER regions_delete BEFORE DELETE ON regions WHEN EXISTS (
  SELECT 1 FROM readings r WHERE r.state = 'locked' AND r.id = OLD.reading)
BEGIN SELECT RAISE(ABORT, 'locked: regions of a locked reading cannot be deleted'); END;

-- A final answer belongs to a locked reading, and is as firm once finished.
CREATE TRIGGER finals_insert BEFORE INSERT ON finals WHEN NEW.finished IS NOT NULL
  OR NOT EXISTS (SELECT 1 FROM readings r WHERE r.id = NEW.reading AND r.state = 'locked')
  OR EXISTS (SELECT 1 FROM finals f WHERE f.reading = NEW.reading AND f.finished IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'locked: a final answer follows the lock, and a finished one stays'); END;

CREATE TRIGGER finals_update BEFORE UPDATE ON finals WHEN OLD.finished IS NOT NULL OR NEW.reading <> OLD.reading
  OR (NEW.finished IS NOT NULL AND (NEW.label IS NULL OR NEW.confidence IS NULL OR NEW.agree IS NULL))
BEGIN SELECT RAISE(ABORT, 'locked: a finished answer stays, and is finished when complete'); END;

CREATE TRIGGER finals_delete BEFORE DELETE ON finals WHEN OLD.finished IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'locked: a finished answer cannot be deleted'); END;

-- Films and readers keep their meaning for as long as a locked reading speaks of them.
CREATE TRIGGER cases_insert BEFORE INSERT ON cases WHEN EXISTS (
  SELECT 1 FROM cases c WHERE c.id = NEW.id OR c.image_id = NEW.image_id)
BEGIN SELECT RAISE(ABORT, 'locked: a case cannot be replaced'); END;
CREATE TRIGGER cases_update BEFORE UPDATE ON cases WHEN NEW.id <> OLD.id OR NEW.image_id <> OLD.image_id
  OR NEW.height <> OLD.height OR NEW.width <> OLD.width OR NEW.sha256 <> OLD.sha256
BEGIN SELECT RAISE(ABORT, 'locked: a case keeps its film'); END;
CREATE TRIGGER cases_delete BEFORE DELETE ON cases WHEN EXISTS (SELECT 1 FROM readings r WHERE r.case_id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'locked: a case that was read cannot be deleted'); END;
CREATE TRIGGER readers_insert BEFORE INSERT ON readers WHEN EXISTS (
  SELECT 1 FROM readers r WHERE r.id = NEW.id OR r.name = NEW.name)
BEGIN SELECT RAISE(ABORT, 'locked: a reader cannot be replaced'); END;
CREATE TRIGGER readers_update BEFORE UPDATE ON readers
BEGIN SELECT RAISE(ABORT, 'locked: a reader keeps name and number'); END;
CREATE TRIGGER readers_delete BEFORE DELETE ON readers WHEN EXISTS (SELECT 1 FROM readings r WHERE r.reader = OLD.id)
BEGIN SELECT RAISE(ABORT, 'locked: a reader with readings cannot be deleted'); END;

-- The log only grows.
CREATE TRIGGER events_insert BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events e WHERE e.id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'locked: the log only grows'); END;
CREATE TRIGGER events_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'locked: the log only grows'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'locked: the log only grows'); END;
