"""`radiolucent predict`: what a model makes of images."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from radiolucent.cli.output import AsJson, end_with_left_out, print_json, research_use
from radiolucent.cli.which_model import RunAndImages, run_and_images, say_use

__all__ = ["predict"]


def predict(given: RunAndImages, as_json: AsJson = False) -> None:
    """Say what a run makes of images: calibrated probabilities and the call at its threshold."""
    from radiolucent.data import find_films
    from radiolucent.figures import sure
    from radiolucent.images import read_or_note
    from radiolucent.models import load
    from radiolucent.study import make_case

    run, paths = run_and_images(given)
    classifier = load(run)
    rows: list[dict[str, Any]] = []
    files, left = find_films(paths)
    for film in filter(None, (read_or_note(file, left) for file in files)):
        logits = classifier.logits(classifier.preprocess(film)[None])
        case = make_case(classifier, film, logits, None, (), ())
        chances = classifier.probabilities(logits)[0].tolist()
        chance = dict(zip(classifier.class_names, chances, strict=True))
        rows.append({"image": film.image_id, "called": case.called, "probability": chance})
        if not as_json:
            Console().print(
                f"{escape(film.image_id)}: {sure(case.probability, case.called)}", highlight=False, soft_wrap=True
            )
    if as_json:
        skipped = [{"file": str(p), "reason": r} for p, r in left]
        print_json({"use": research_use(classifier), "predictions": rows, "left_out": skipped})
    else:
        say_use(classifier, run)
    end_with_left_out(left)
