-- What locked readings are judged by stays too: a film's label and patient, and the facts of the study.
CREATE TRIGGER cases_truth BEFORE UPDATE ON cases WHEN (NEW.label IS NOT OLD.label OR NEW.patient_id IS NOT OLD.patient_id)
  AND EXISTS (SELECT 1 FROM readings r WHERE r.case_id = OLD.id AND r.state = 'locked')
BEGIN SELECT RAISE(ABORT, 'locked: a film with a locked reading keeps label and patient'); END;

CREATE TRIGGER study_insert BEFORE INSERT ON study WHEN EXISTS (SELECT 1 FROM study s WHERE s.key = NEW.key)
  AND EXISTS (SELECT 1 FROM readings r WHERE r.state = 'locked')
BEGIN SELECT RAISE(ABORT, 'locked: a study with locked readings keeps its facts'); END;
CREATE TRIGGER study_update BEFORE UPDATE ON study WHEN EXISTS (SELECT 1 FROM readings r WHERE r.state = 'locked')
BEGIN SELECT RAISE(ABORT, 'locked: a study with locked readings keeps its facts'); END;
CREATE TRIGGER study_delete BEFORE DELETE ON study WHEN EXISTS (SELECT 1 FROM readings r WHERE r.state = 'locked')
BEGIN SELECT RAISE(ABORT, 'locked: a study with locked readings keeps its facts'); END;
