"""Explanations put to the test: held against what doctors marked and wrote, and what a map gets without looking."""

from radiolucent.audits.agreement import Agreement, CaseAgreement, agreement, agreements
from radiolucent.audits.calls import ReaderCalls, reader_calls
from radiolucent.audits.faithfulness import Curves, curves, faithfulness
from radiolucent.audits.markings import consensus
from radiolucent.audits.measures import FIGURES, meaning
from radiolucent.audits.repeatability import noise_repeatability, seed_repeatability
from radiolucent.audits.sanity import randomisation, randomised
from radiolucent.audits.staple import Staple, staple
from radiolucent.audits.statements import STATEMENT_FIGURES, StatementAgreement, statement_agreement
from radiolucent.audits.trust import cheaper, completeness, judge, stamp, trust_line, trust_randomisation
from radiolucent.audits.tuning import Tuned, tune_threshold
from radiolucent.audits.words import Said, parse_statement

__all__ = [
    "FIGURES",
    "STATEMENT_FIGURES",
    "Agreement",
    "CaseAgreement",
    "Curves",
    "ReaderCalls",
    "Said",
    "Staple",
    "StatementAgreement",
    "Tuned",
    "agreement",
    "agreements",
    "cheaper",
    "completeness",
    "consensus",
    "curves",
    "faithfulness",
    "judge",
    "meaning",
    "noise_repeatability",
    "parse_statement",
    "randomisation",
    "randomised",
    "reader_calls",
    "seed_repeatability",
    "stamp",
    "staple",
    "statement_agreement",
    "trust_line",
    "trust_randomisation",
    "tune_threshold",
]
