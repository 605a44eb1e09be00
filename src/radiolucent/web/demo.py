"""A study that needs nothing: phantoms, and a small network trained on them in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from radiolucent.data import build_cache
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.models import build, finished
from radiolucent.study import Prepared, StudyConfig, train
from radiolucent.web.open_study import StudyPlan

__all__ = ["demo_plan"]

DEMO_CASES = 12


def demo_plan(folder: Path, demo_run: Path, say: Callable[[str, int, int], None], *, seed: int = 0) -> StudyPlan:
    """The plan of the demonstration: the finished `radiolucent demo` where there is one, else a run made on the spot.

    Args:
        folder: of the study; phantoms and network lie in its `demo/`. demo_run: where `radiolucent demo` writes.
    """
    films = folder / "films-drawn"
    drawing = PhantomConfig(patients=24, films=1, size=512, val=0.2, test=0.5, subtle=0.4, seed=seed + 1)
    generate(films, drawing, workers=1, progress=lambda d, t: say("drawing films to read", d, t))
    run = demo_run if finished(demo_run) else _quick_run(folder / "demo", say, seed)
    return StudyPlan(run, films, folder, "Demonstration", limit=DEMO_CASES, lime_samples=353, seed=seed)


def _quick_run(out: Path, say: Callable[[str, int, int], None], seed: int) -> Path:
    """A small network trained on small phantoms, without the study's data checks: something to review.

    Three narrow blocks, so that a map of 96 px still has 12 cells a side; more of them put the map on the film's edge.
    One process draws them: starting others costs more than the drawing.
    """
    if not finished(out):
        drawing = PhantomConfig(patients=400, films=1, size=128, test=0.0, subtle=0.5, seed=seed)
        dataset = generate(out / "phantom", drawing, workers=1, progress=lambda d, t: say("drawing phantoms", d, t))
        config = StudyConfig(
            data=out / "phantom",
            out=out,
            model="small_cnn",
            pretrained=False,
            epochs=10,
            batch_size=16,
            seed=seed,
            command="radiolucent review --demo",
        )
        narrow: dict[str, Any] = {"widths": (12, 24, 48), "hidden": 0, "dropout": 0.1}
        start, weights = build("small_cnn", pretrained=False, size=96, seed=seed, **narrow)
        cache = build_cache(dataset.records, start.preprocess, out / "cache")
        train(config, start, weights, Prepared(dataset, (), cache), say)
    return out
