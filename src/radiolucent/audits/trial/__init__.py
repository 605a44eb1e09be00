"""The classifier tested for shortcut use: paired interventions, parts of the film, subgroups, and the self-test."""

from radiolucent.audits.trial.examine import Audit, audit, examine
from radiolucent.audits.trial.maskers import maskers
from radiolucent.audits.trial.regions import Masker, masks_from_folder
from radiolucent.audits.trial.selftest import SelfTest, SelfTestResult, self_test

__all__ = [
    "Audit",
    "Masker",
    "SelfTest",
    "SelfTestResult",
    "audit",
    "examine",
    "maskers",
    "masks_from_folder",
    "self_test",
]
