"""Explanations put to the test: held against what doctors marked and wrote, and what a map gets without looking."""

from radiolucent.audits.agreement import Agreement, CaseAgreement, agreement, agreements
from radiolucent.audits.calls import ReaderCalls, reader_calls
from radiolucent.audits.markings import consensus
from radiolucent.audits.measures import FIGURES, meaning
from radiolucent.audits.staple import Staple, staple
from radiolucent.audits.statements import STATEMENT_FIGURES, StatementAgreement, statement_agreement
from radiolucent.audits.tuning import Tuned, tune_threshold
from radiolucent.audits.words import Said, parse_statement

__all__ = [
    "FIGURES",
    "STATEMENT_FIGURES",
    "Agreement",
    "CaseAgreement",
    "ReaderCalls",
    "Said",
    "Staple",
    "StatementAgreement",
    "Tuned",
    "agreement",
    "agreements",
    "consensus",
    "meaning",
    "parse_statement",
    "reader_calls",
    "staple",
    "statement_agreement",
    "tune_threshold",
]
