"""Explanations put to the test: against what doctors marked, and against what a map gets without looking."""

from radiolucent.audits.agreement import FIGURES, Agreement, CaseAgreement, agreement, agreements, consensus
from radiolucent.audits.faithfulness import Curves, curves, faithfulness
from radiolucent.audits.repeatability import noise_repeatability, seed_repeatability
from radiolucent.audits.sanity import randomisation, randomised
from radiolucent.audits.trust import cheaper, completeness, judge, stamp, trust_line, trust_randomisation

__all__ = [
    "FIGURES",
    "Agreement",
    "CaseAgreement",
    "Curves",
    "agreement",
    "agreements",
    "cheaper",
    "completeness",
    "consensus",
    "curves",
    "faithfulness",
    "judge",
    "noise_repeatability",
    "randomisation",
    "randomised",
    "seed_repeatability",
    "stamp",
    "trust_line",
    "trust_randomisation",
]
