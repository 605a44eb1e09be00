"""The whole study on phantoms drawn on the spot."""

from collections.abc import Callable
from pathlib import Path

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

__all__ = ["demo", "demo_labels"]


def demo(
    out: str | Path = "runs/demo",
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    *,
    patients: int = 560,
    epochs: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    on_ready: Callable[[Prepared, Classifier], None] | None = None,
) -> tuple[Prepared, Appraisal | LabelsAppraisal | None]:
    """Draw phantoms, train the small CNN from scratch, evaluate, explain, compare with simulated readers, report.

    Args:
        out: run folder; the phantoms lie in its `phantom/`. patients: children drawn. epochs: of training.
        on_ready: see `train_only`.
    """
    folder = Path(out)
    with one_process(folder):
        drawing = PhantomConfig(patients=patients, size=160, subtle=0.4, seed=seed)
        generate(folder / "phantom", drawing, progress=lambda d, t: say("drawing phantoms", d, t))
        config = StudyConfig(
            data=folder / "phantom",
            out=folder,
            model="small_cnn",
            pretrained=False,
            epochs=epochs or 12,
            batch_size=16,
            size=128,
            annotations=folder / "phantom" / "annotations.json",
            lime_samples=353,
            seed=seed,
            cache=cache or folder / "cache",
            title="Demonstration on phantom chest X-rays",
            command="radiolucent demo",
        )
        return run_study(config, say, on_epoch, on_ready=on_ready)


def demo_labels(
    out: str | Path = "runs/demo-labels",
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    *,
    patients: int = 700,
    epochs: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    on_ready: Callable[[Prepared, Classifier], None] | None = None,
) -> tuple[Prepared, Appraisal | LabelsAppraisal | None]:
    """The same with three labels a film: consolidation, effusion and cardiomegaly, some uncertain, some not given.

    Args: see `demo`.
    """
    folder = Path(out)
    with one_process(folder):
        drawing = SeveralConfig(patients=patients, size=160, subtle=0.4, seed=seed)
        generate_several(folder / "phantom", drawing, progress=lambda d, t: say("drawing phantoms", d, t))
        config = StudyConfig(
            data=folder / "phantom",
            out=folder,
            model="small_cnn",
            pretrained=False,
            epochs=epochs or 14,
            batch_size=16,
            size=128,
            annotations=folder / "phantom" / "annotations.json",
            cases=6,
            compare_films=12,
            lime_samples=353,
            seed=seed,
            cache=cache or folder / "cache",
            title="Demonstration on phantom chest X-rays with three findings",
            command="radiolucent demo --labels 3",
        )
        return run_study(config, say, on_epoch, on_ready=on_ready)
