"""The classifier tested for shortcut use: paired interventions, parts of the film, subgroups, and the self-test."""

from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.examine import Audit, audit, examine
from radiolucent.audits.trial.maskers import maskers
from radiolucent.audits.trial.regions import Masker, masks_from_folder
from radiolucent.audits.trial.selftest import SelfTest, SelfTestResult, self_test
from radiolucent.audits.trial.tests import TESTS, deciding, named_test

__all__ = [
    "TESTS",
    "Audit",
    "Case",
    "Masker",
    "SelfTest",
    "SelfTestResult",
    "Test",
    "audit",
    "deciding",
    "examine",
    "maskers",
    "masks_from_folder",
    "named_test",
    "self_test",
]
