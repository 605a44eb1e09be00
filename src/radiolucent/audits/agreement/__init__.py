"""Maps and predictions beside what doctors marked, wrote and diagnosed."""

from radiolucent.audits.agreement.markings import consensus
from radiolucent.audits.agreement.measures import FIGURES, meaning
from radiolucent.audits.agreement.reader_calls import ReaderCalls, reader_calls
from radiolucent.audits.agreement.staple import Staple, staple
from radiolucent.audits.agreement.statement_parser import Said, parse_statement
from radiolucent.audits.agreement.statements import STATEMENT_FIGURES, StatementAgreement, statement_agreement
from radiolucent.audits.agreement.tuning import Tuned, tune_threshold
from radiolucent.audits.agreement.with_markings import Agreement, CaseAgreement, agreement, agreements, together
from radiolucent.audits.agreement.zone_energy import LUNG_ZONES, ZoneEnergy, lung_zones, zone_energy, zone_name

__all__ = [
    "FIGURES",
    "LUNG_ZONES",
    "STATEMENT_FIGURES",
    "Agreement",
    "CaseAgreement",
    "ReaderCalls",
    "Said",
    "Staple",
    "StatementAgreement",
    "Tuned",
    "ZoneEnergy",
    "agreement",
    "agreements",
    "consensus",
    "lung_zones",
    "meaning",
    "parse_statement",
    "reader_calls",
    "staple",
    "statement_agreement",
    "together",
    "tune_threshold",
    "zone_energy",
    "zone_name",
]
