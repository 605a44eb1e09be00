"""Explanations held against what doctors marked."""

from radiolucent.audits.agreement import Agreement, CaseAgreement, agreement, consensus

__all__ = ["Agreement", "CaseAgreement", "agreement", "consensus"]
