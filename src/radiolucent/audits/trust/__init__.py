"""Whether one map deserves belief: faithful, repeatable, dependent on what the network learnt."""

from radiolucent.audits.trust.faithfulness import Curves, curves, faithfulness
from radiolucent.audits.trust.repeatability import noise_repeatability, seed_repeatability
from radiolucent.audits.trust.stamping import completeness, judge, stamp, trust_line, trust_randomisation
from radiolucent.audits.trust.weight_randomisation import randomisation, randomised

__all__ = [
    "Curves",
    "completeness",
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
