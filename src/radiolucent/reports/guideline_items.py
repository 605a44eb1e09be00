"""The items of three reporting guidelines, abridged by us, each with what a run can say to it and what it cannot.

Numbers are the guidelines' own; wording is ours and short. Sources: CLAIM 2024 (Tejani 2024, doi 10.1148/ryai.240300,
44 items), TRIPOD+AI (Collins 2024, doi 10.1136/bmj-2023-078378, 27 items in 52 parts), STARD-AI (Sounderajah 2025, doi
10.1038/s41591-025-03953-8, 40 items in 48 parts). For submission fill in the published forms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GUIDELINES", "Guideline", "Item"]


@dataclass(frozen=True)
class Item:
    """One item: its number, what it asks in our words, names of the facts that answer it (`reports.facts`), and what
    remains for a human to write; "" where nothing does."""

    number: str
    asks: str
    facts: tuple[str, ...] = ()
    human: str = ""


@dataclass(frozen=True)
class Guideline:
    """A guideline: name, citation, and its items in order."""

    name: str
    citation: str
    items: tuple[Item, ...]


def _items(text: str) -> tuple[Item, ...]:
    """One item a line: number | what it asks | facts | what a human must write."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return tuple(Item(number, asks, tuple(facts.split()), human) for number, asks, facts, human in rows)


_CLAIM = _items("""
1 | title: AI method and its category | category | the title
2 | structured abstract | | the abstract
3 | background; intended use and clinical role | use | what the model is for, and for whom
4 | aims and hypotheses | | aims and hypotheses
5 | prospective or retrospective | | when films were taken and read
6 | goal of the study | | the goal: model creation, feasibility, a trial
7 | data sources | source | where the films came from, under which licence
8 | inclusion and exclusion criteria | left_out | criteria beyond files that cannot be read
9 | preprocessing | preprocess |
10 | selection of subsets of the data | partitions | any selection made before the films were given to the software
11 | de-identification | | how films were de-identified (which also removes markers under audit)
12 | missing data | left_out | missing clinical data
13 | acquisition protocol | | machines and settings
14 | reference standard: definition | labels | how labels were made
15 | reference standard: rationale | | why this standard
16 | who annotated, with which training | readers | the annotators' qualifications
17 | annotation of the test set | readers | tools and instructions given to annotators
18 | variability within and between annotators | agreement_between | where nothing stands here: readers' variability
19 | assignment to partitions | partitions imbalance |
20 | level at which partitions are disjoint | disjoint |
21 | intended size of the test set | sample | how the size was intended
22 | the model in detail | architecture |
23 | software and versions | software |
24 | initial parameters | initial |
25 | training in detail | training |
26 | choice of the final model | selection |
27 | ensembling | ensemble |
28 | performance metrics | metrics | why these metrics
29 | uncertainty and significance | uncertainty |
30 | robustness and sensitivity | stress interventions |
31 | explainability and its validation | maps agreement |
32 | evaluation on internal data | performance |
33 | testing on external data | | external testing, or why there is none
34 | trial registration | | registration, where it applies
35 | numbers included and excluded | partitions left_out | a flow chart
36 | demographic and clinical characteristics | demographics metadata | age, sex and clinical characteristics
37 | performance on all partitions, with uncertainty | performance validation |
38 | diagnostic performance and its precision | performance confusion curves |
39 | analysis of failures | failures | the failures in their medical context
40 | limitations | limits | limitations of design and sample
41 | implications for practice | use | implications, intended use, clinical role
42 | where protocol and technical details stand | details |
43 | availability of software, model and data | availability | terms of access to the data
44 | funding and the funders' role | | funding
""")

_TRIPOD = _items("""
1 | title: model, population, outcome | category | the title
2 | abstract | | the abstract
3a | context and rationale; existing models | | context and rationale
3b | target population, purpose, users | use | population, place in care, users
3c | known health inequalities | | what is known of inequalities
4 | objectives | | objectives: development, evaluation, or both
5a | sources of data, why, how representative | source partitions | rationale and representativeness
5b | dates of data | | dates
6a | setting; centres | sites | number and place of centres
6b | eligibility | left_out | eligibility
6c | treatments | | treatments, where they matter
7 | data preparation and quality checks | preprocess checks | whether alike across groups of people
8a | outcome: definition, how and when assessed | labels | the outcome's definition
8b | outcome assessors | readers | their qualifications
8c | blinding of outcome assessment | | blinding
9a | choice of predictors | | a network takes the film itself: say why
9b | predictors: definition, measurement | preprocess | how films were taken
9c | predictors that need judgement | |  none beside the film, or which
10 | study size | sample | how the size was arrived at
11 | missing data | left_out | missing clinical data
12a | how data were used and partitioned | partitions disjoint |
12b | handling of predictors | preprocess augmentation |
12c | type of model, building steps, tuning, internal validation | architecture training selection |
12d | heterogeneity across clusters | sites subgroups | clusters that the data do not name
12e | measures and plots of performance | metrics curves |
12f | model updating after evaluation | | any recalibration after evaluation
12g | how predictions were calculated | output availability |
13 | class imbalance | imbalance |
14 | fairness: approaches | subgroups demographics | approaches to fairness
15 | output, classes, thresholds | output threshold |
16 | differences between development and evaluation data | shift | setting, eligibility, outcome
17 | ethics | | approval and consent
18a | funding | | funding
18b | conflicts of interest | | conflicts
18c | protocol | | where the protocol is, or that there is none
18d | registration | | registration, or that there is none
18e | data sharing | | availability of the data
18f | code sharing | availability | availability of further analysis code
19 | patient and public involvement | | involvement, or that there was none
20a | flow of participants, with and without the outcome | partitions left_out | a flow chart
20b | characteristics of participants | metadata demographics | dates, demographics, treatments
20c | evaluation data compared with development data | shift | demographics
21 | participants and events in each analysis | partitions |
22 | the full model, and access to it | architecture availability | restrictions on reuse
23a | performance with intervals, by subgroups | performance subgroups | demographic subgroups
23b | heterogeneity in performance | subgroups slices |
24 | results of updating | | any updating
25 | interpretation, fairness | verdict | interpretation
26 | limitations | limits | their effect on bias and generalisability
27a | poor or unavailable input | left_out stress | how such films are handled in use
27b | users' part and expertise | use | users and the expertise they need
27c | next steps | | next steps
""")

_STARD = _items("""
1 | identified as AI-centred diagnostic accuracy, with a measure | category performance | the title
2 | structured abstract | | the abstract
3 | background, intended use, place in workflow | use | background and workflow
4 | objectives and hypotheses | | objectives
5 | prospective or retrospective | | when data were collected
6 | ethics approval | | approval, or why none
7 | eligibility of participants and of data | left_out | criteria for participants
8 | how participants were identified | | on what basis
9 | setting and dates | sites | setting, place, dates
10 | consecutive, random or convenience series | | which series
11 | source of data | source | routine, made for the study, or open
12 | who annotated, how | readers labels | experience of annotators
13 | devices and software | software | devices that took the films
14 | acquisition and preprocessing | preprocess | acquisition
15a | index test in detail | architecture output |
15b | development: training, validation, testing, sizes | training partitions |
15c | cut-offs and rationale | threshold |
15d | end users and their expertise | | end users
16a | reference standard in detail | labels | the reference standard
16b | reference standard: rationale | | rationale
16c | reference standard: cut-offs | | cut-offs
17a | what readers of the index test knew | blind_model | what else users are shown
17b | what assessors of the reference standard knew | | whether they saw the model's answer
18 | statistical methods | uncertainty metrics |
19 | indeterminate results | | how they were handled
20 | missing data | left_out | missing reference standard
21 | variability of accuracy | subgroups stress slices | which were planned beforehand
22 | sample size | sample | how it was determined
23 | error analysis, bias and fairness | failures subgroups interventions | fairness by people's characteristics
24 | flow of participants | partitions left_out | a diagram
25 | characteristics of training, validation and test sets | partitions metadata demographics | clinical characteristics
26a | severity of disease | | severity
26b | alternative diagnoses | | alternative diagnoses
27 | time between index test and reference standard | | time and treatment between
28 | whether data represent the intended population | shift elsewhere | representativeness
29 | how external data differ | | external evaluation
30 | cross-tabulation | confusion |
31 | accuracy with precision | performance |
32 | adverse events | | adverse events
33 | limitations: bias, uncertainty, generalisability | limits verdict | limitations
34 | implications, intended use and role | use | implications
35 | ethics and fairness of use | | ethics and fairness
36 | registration | | registry and number
37 | protocol | | where it is
38 | funding | | funding
39 | commercial interests | | interests
40a | availability of data and code | availability | data, and restrictions
40b | outputs stored and open to audit | details |
""")

GUIDELINES: Mapping[str, Guideline] = {
    "claim": Guideline("CLAIM 2024", "Tejani 2024, Radiology: AI 6:e240300, doi 10.1148/ryai.240300", _CLAIM),
    "tripod": Guideline("TRIPOD+AI", "Collins 2024, BMJ 385:e078378, doi 10.1136/bmj-2023-078378", _TRIPOD),
    "stard": Guideline("STARD-AI", "Sounderajah 2025, Nature Medicine 31:3283, doi 10.1038/s41591-025-03953-8", _STARD),
}
