"""The whole study on phantoms drawn on the spot."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from radiolucent.bounds import PATH, expect
from radiolucent.data.phantom import PhantomConfig, SeveralConfig, generate, generate_several
from radiolucent.files import one_process
from radiolucent.models import Classifier
from radiolucent.study.appraisal import Appraisal
from radiolucent.study.appraisal_labels import LabelsAppraisal
from radiolucent.study.config import StudyConfig
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.run import run_study
from radiolucent.training import EpochResult

__all__ = ["demo"]


def demo(
    out: str | Path = "runs/demo",
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    *,
    labels: int = 1,
    patients: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    on_ready: Callable[[Prepared, Classifier], None] | None = None,
) -> tuple[Prepared, Appraisal | LabelsAppraisal | None]:
    """Draw phantoms, train the small CNN from scratch, evaluate, explain, compare with simulated readers, report.

    Args:
        out: run folder; the phantoms lie in its `phantom/`. labels: 1: pneumonia or normal; 3: consolidation, effusion
            and cardiomegaly, some uncertain, some not given. patients: children drawn, 560 for one label and 700 for
            three unless given. epochs: of training, 12 or 14. on_ready: see `train_only`.
    """
    expect(out, PATH, "run folder", "the path of a folder")
    folder, several = Path(out), labels > 1
    films = folder / "phantom"

    def drawn(done: int, total: int) -> None:
        say("drawing phantoms", done, total)

    with one_process(folder):
        if several:
            drawing = SeveralConfig(patients=patients or 700, size=160, subtle=0.4, seed=seed)
            generate_several(films, drawing, progress=drawn)
        else:
            generate(films, PhantomConfig(patients=patients or 560, size=160, subtle=0.4, seed=seed), progress=drawn)
        config = StudyConfig(
            data=films,
            out=folder,
            model="small_cnn",
            pretrained=False,
            epochs=epochs or (14 if several else 12),
            batch_size=16,
            size=128,
            annotations=films / "annotations.json",
            lime_samples=353,
            seed=seed,
            cache=cache or folder / "cache",
            title="Demonstration on phantom chest X-rays" + (" with three findings" if several else ""),
            command="radiolucent demo" + (" --labels 3" if several else ""),
        )
        if several:
            config = replace(config, cases=6, compare_films=12)
        return run_study(config, say, on_epoch, on_ready=on_ready)
