"""Explanations put to the test: held against what doctors marked, and against what a map gets without looking."""

from radiolucent.audits.agreement import FIGURES, Agreement, CaseAgreement, agreement, agreements, consensus

__all__ = ["FIGURES", "Agreement", "CaseAgreement", "agreement", "agreements", "consensus"]
