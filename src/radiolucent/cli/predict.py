"""`radiolucent predict`: what a model makes of images."""

import dataclasses
from typing import Any

from radiolucent.cli.answers import FEW, Answer, Chest, Force, answer_or_note, print_answers, refusal
from radiolucent.cli.output import AsJson, end_with_left_out, print_json, research_use, say, shown
from radiolucent.cli.reading_options import reads_films
from radiolucent.cli.which_model import RunAndImages, run_and_images, say_use

__all__ = ["predict"]


@reads_films
def predict(given: RunAndImages, chest: Chest = False, force: Force = False, as_json: AsJson = False) -> None:
    """Say what a run makes of images: calibrated probabilities and the call at its threshold, each label at its own.

    Without RUN the model that comes with radiolucent answers: pneumonia or normal, on children's chest films.
    """
    from radiolucent.data import find_films
    from radiolucent.images import read_or_note
    from radiolucent.models import load
    from radiolucent.types import NO_LUNG

    run, paths = run_and_images(given)
    classifier = load(run)
    refuse = refusal(classifier, force, chest)
    files, left = find_films(paths)
    waiting: list[Answer] = []
    rows: list[dict[str, Any]] = []
    for file in files:
        film = read_or_note(file, left)
        if film is None:
            continue
        if refuse is not None and (why := refuse(film)):
            left.append((file, why))
            continue
        answer = answer_or_note(classifier, film, file, left)
        if answer is None:
            continue
        answer = dataclasses.replace(answer, image=str(file))
        row: dict[str, Any] = {"image": str(file), "called": answer.called, "probability": None}
        if answer.no_call:
            row["no_call"] = NO_LUNG
        else:
            row["probability"] = dict(answer.by_class)
            row |= {"called": list(answer.labels)} if classifier.multilabel else {}
        rows.append(row | ({"notes": film.notes} if film.notes else {}))
        if not as_json:
            for note in film.notes:
                say.print(f"{shown(file)}: note: {shown(note)}", highlight=False, soft_wrap=True)
        waiting.append(answer)
        if not as_json and len(waiting) == FEW and len(files) > FEW:  # any number, in bounded memory
            print_answers(waiting)
            waiting.clear()
    if as_json:
        told = {"positive": classifier.class_names[classifier.positive], "threshold": classifier.threshold}
        if classifier.multilabel:
            cuts = [rule.threshold for rule in classifier.label_rules]
            told = {"thresholds": dict(zip(classifier.class_names, cuts, strict=True))}
        print_json(
            {
                "use": research_use(classifier),
                **told,
                "predictions": rows,
                "left_out": [{"file": str(p), "reason": r} for p, r in left],
            }
        )
    else:
        if waiting:
            print_answers(waiting)
        say_use(classifier, run)
    end_with_left_out(left, len(rows))
