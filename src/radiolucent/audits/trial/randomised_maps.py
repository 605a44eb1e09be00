"""Whether a method's maps change as the audited network's weights are randomised (Adebayo 2018)."""

import dataclasses

from radiolucent.audits.trial.attribution import as_film, methods_that_apply
from radiolucent.audits.trial.base import METHOD, Case, Test
from radiolucent.audits.trust.stamping import trust_randomisation
from radiolucent.types import Finding

__all__ = ["TESTS"]

FILMS = 3


def _made(case: Case) -> list[Finding]:
    films = [as_film(case.seen(name)) for name in case.table.image_ids[:FILMS]] if case.map_films else []
    if not films:
        return []
    return [
        dataclasses.replace(
            trust_randomisation(case.in_frame, films, method, target=case.classifier.positive, seed=case.seed),
            test=f"maps.{name}.randomisation",
            concerns="map",
        )
        for name, method in methods_that_apply(case)[0].items()
    ]


TESTS = (
    Test(
        "maps.randomisation",
        "Does the map change when the network's weights are replaced by random ones?",
        "map",
        "",
        _made,
        (f"maps.{METHOD}.randomisation",),
        unit="films",
    ),
)
