"""The main job, top to bottom: read, check, split, train, evaluate, explain, compare with the doctors, report."""

from radiolucent.study.appraise import Appraisal, appraise
from radiolucent.study.case import make_case
from radiolucent.study.compare import Comparison, compare_run
from radiolucent.study.config import RECIPES, StudyConfig
from radiolucent.study.demo import demo
from radiolucent.study.explain_many import Many, explain_many
from radiolucent.study.many_config import ManyConfig
from radiolucent.study.predictions_table import write_predictions
from radiolucent.study.prepare import Prepared, prepare
from radiolucent.study.repair import Repair, RepairConfig, Repaired, repair
from radiolucent.study.run import resume_report, run_study, train_only
from radiolucent.study.train import Trained, train

__all__ = [
    "RECIPES",
    "Appraisal",
    "Comparison",
    "Many",
    "ManyConfig",
    "Prepared",
    "Repair",
    "RepairConfig",
    "Repaired",
    "StudyConfig",
    "Trained",
    "appraise",
    "compare_run",
    "demo",
    "explain_many",
    "make_case",
    "prepare",
    "repair",
    "resume_report",
    "run_study",
    "train",
    "train_only",
    "write_predictions",
]
