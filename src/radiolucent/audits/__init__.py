"""Explanations put to the test, and the classifier put on trial.

Maps are held against what doctors marked and wrote, and what a map gets without looking; the classifier is tried for
shortcuts by changing films, and so is the trial itself.
"""

from radiolucent.audits.agreement import Agreement, CaseAgreement, agreement, agreements
from radiolucent.audits.calls import ReaderCalls, reader_calls
from radiolucent.audits.faithfulness import Curves, curves, faithfulness
from radiolucent.audits.markings import consensus
from radiolucent.audits.measures import FIGURES, meaning
from radiolucent.audits.regions import Masker, masks_from_folder
from radiolucent.audits.repeatability import noise_repeatability, seed_repeatability
from radiolucent.audits.run import Audit, audit, examine
from radiolucent.audits.sanity import randomisation, randomised
from radiolucent.audits.seen import maskers
from radiolucent.audits.selftest import SelfTest, SelfTestResult, self_test
from radiolucent.audits.staple import Staple, staple
from radiolucent.audits.statements import STATEMENT_FIGURES, StatementAgreement, statement_agreement
from radiolucent.audits.trust import completeness, judge, stamp, trust_line, trust_randomisation
from radiolucent.audits.tuning import Tuned, tune_threshold
from radiolucent.audits.words import Said, parse_statement

__all__ = [
    "FIGURES",
    "STATEMENT_FIGURES",
    "Agreement",
    "Audit",
    "CaseAgreement",
    "Curves",
    "Masker",
    "ReaderCalls",
    "Said",
    "SelfTest",
    "SelfTestResult",
    "Staple",
    "StatementAgreement",
    "Tuned",
    "agreement",
    "agreements",
    "audit",
    "completeness",
    "consensus",
    "curves",
    "examine",
    "faithfulness",
    "judge",
    "maskers",
    "masks_from_folder",
    "meaning",
    "noise_repeatability",
    "parse_statement",
    "randomisation",
    "randomised",
    "reader_calls",
    "seed_repeatability",
    "self_test",
    "stamp",
    "staple",
    "statement_agreement",
    "trust_line",
    "trust_randomisation",
    "tune_threshold",
]
