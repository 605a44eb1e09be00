"""Statistics between readers: chance-corrected agreement, and multi-reader multi-case analysis of AUROCs."""

from radiolucent.metrics import clustered_mcnemar
from radiolucent.readers.statistics.ac1 import gwet_ac1
from radiolucent.readers.statistics.alpha import krippendorff_alpha
from radiolucent.readers.statistics.between import between, of_finding
from radiolucent.readers.statistics.completeness import Completeness, completeness
from radiolucent.readers.statistics.imrmc_file import ImrmcReadings, read_imrmc
from radiolucent.readers.statistics.kappa import cohen_kappa, fleiss_kappa
from radiolucent.readers.statistics.locations import (
    FILM_FIGURES,
    FilmMarks,
    figure_of_merit,
    film_marks,
    located_mrmc,
    peaks,
)
from radiolucent.readers.statistics.margins import MarginResult, against_margin
from radiolucent.readers.statistics.mrmc import MRMC, mrmc, mrmc_rate, readers_against
from radiolucent.readers.statistics.mrmc_size import Pilot, cases_for, mrmc_power
from radiolucent.readers.statistics.panel import Comparison, Opinion, Panel, graded, panel
from radiolucent.readers.statistics.reading_time import ReadingTime, ReadingTimes, reading_times
from radiolucent.readers.statistics.table import Table, diagnosis_table, finding_table, zone_table
from radiolucent.readers.statistics.u_statistics import UAnalysis, u_statistics

__all__ = [
    "FILM_FIGURES",
    "MRMC",
    "Comparison",
    "Completeness",
    "FilmMarks",
    "ImrmcReadings",
    "MarginResult",
    "Opinion",
    "Panel",
    "Pilot",
    "ReadingTime",
    "ReadingTimes",
    "Table",
    "UAnalysis",
    "against_margin",
    "between",
    "cases_for",
    "clustered_mcnemar",
    "cohen_kappa",
    "completeness",
    "diagnosis_table",
    "figure_of_merit",
    "film_marks",
    "finding_table",
    "fleiss_kappa",
    "graded",
    "gwet_ac1",
    "krippendorff_alpha",
    "located_mrmc",
    "mrmc",
    "mrmc_power",
    "mrmc_rate",
    "of_finding",
    "panel",
    "peaks",
    "read_imrmc",
    "readers_against",
    "reading_times",
    "u_statistics",
    "zone_table",
]
