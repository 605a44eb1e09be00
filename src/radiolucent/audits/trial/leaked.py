"""Whether the audited films were trained on: then every figure of the audit is too kind."""

from collections.abc import Sequence

from radiolucent.audits.trial.base import Case, Test
from radiolucent.data import Record
from radiolucent.files import sha256_file
from radiolucent.metrics import wilson
from radiolucent.types import Finding

__all__ = ["TESTS", "leaked"]

SHOWN = 20
QUESTION = "Were audited films, or their patients, among those the model was trained on?"


def leaked(films: Sequence[Record], trained: Sequence[Record]) -> Finding:
    """Were audited films, or other films of their patients, among those the model was trained or chosen on?

    Films are the same where their bytes are (SHA-256), patients where their identifiers are. The figure is the share of
    audited films that were trained on, or whose patient was (Wilson); any fails.

    Args:
        trained: the run's training and validation films (`split.csv`); where none are known, "not applicable".
    """
    test, question = "leakage.training", QUESTION
    if not trained:
        words = (
            "The films that the model was trained on are not at hand (no split.csv beside it). Of an exported file, "
            "--unseen leaves out those that its list names."
        )
        return Finding(test, question, "not applicable", words)
    hashes = {r.sha256 or _hash(r) for r in trained} - {""}
    patients = {r.patient_id for r in trained if r.patient_id}
    same = [r for r in films if (r.sha256 or _hash(r)) in hashes]
    known = {r.image_id for r in same}
    kin = [r for r in films if r.image_id not in known and r.patient_id in patients]
    found = len(same) + len(kin)
    words = (
        f"{len(same)} of {len(films)} audited films were trained or chosen on, {len(kin)} more are of such patients."
    )
    return Finding(
        test, question, "fail" if found else "pass", words, wilson(found, len(films)), 0.0,
        {"films": [r.image_id for r in same[:SHOWN]], "of_their_patients": [r.image_id for r in kin[:SHOWN]]},
        advice="audit on films of other patients, e.g. RUN/split.csv with --split test" if found else "",
        severity=float(found) / len(films) if found else 0.0,
    )  # fmt: skip


def _hash(record: Record) -> str:
    """SHA-256 of the file, or "" where it cannot be read."""
    try:
        return sha256_file(record.path)
    except OSError:
        return ""


def _made(case: Case) -> list[Finding]:
    return [leaked(case.films.records, case.trained)] if case.data_checks and case.films is not None else []


TESTS = (Test("leakage.training", QUESTION, "data", "a run whose training films are known", _made, unit="films"),)
