"""The main job, top to bottom: read, check, split, train, evaluate, explain, compare with the doctors, report."""

from radiolucent.study.appraise import Appraisal, appraise, make_case, write_predictions
from radiolucent.study.compare import Comparison, compare_run
from radiolucent.study.config import RECIPES, StudyConfig
from radiolucent.study.demo import demo
from radiolucent.study.prepare import Prepared, prepare
from radiolucent.study.run import resume_report, run_study, train_only
from radiolucent.study.train import Trained, train

__all__ = [
    "RECIPES",
    "Appraisal",
    "Comparison",
    "Prepared",
    "StudyConfig",
    "Trained",
    "appraise",
    "compare_run",
    "demo",
    "make_case",
    "prepare",
    "resume_report",
    "run_study",
    "train",
    "train_only",
    "write_predictions",
]
