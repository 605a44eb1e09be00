"""Statistics between readers: chance-corrected agreement, and multi-reader multi-case analysis of AUROCs."""

from radiolucent.readers.statistics.alpha import krippendorff_alpha
from radiolucent.readers.statistics.kappa import cohen_kappa, fleiss_kappa
from radiolucent.readers.statistics.mrmc import MRMC, mrmc, readers_against
from radiolucent.readers.statistics.table import Table, finding_table, zone_table

__all__ = [
    "MRMC",
    "Table",
    "cohen_kappa",
    "finding_table",
    "fleiss_kappa",
    "krippendorff_alpha",
    "mrmc",
    "readers_against",
    "zone_table",
]
