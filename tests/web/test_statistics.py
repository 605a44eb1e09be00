"""The statistics page and its file: figures of two readers, and "not applicable" with its reason for one."""

import json
from pathlib import Path

from radiolucent.readers.store_values import Final, Mark, Reading
from radiolucent.web.standalone import write_statistics
from radiolucent.web.statistics import gather
from radiolucent.web.study_context import StudyContext
from support.study_server import make_study

# By film, whether called ill and how sure: two NORMAL and two PNEUMONIA films each reader ranks in a known way.
ONE = {"NORMAL": ((False, 5), (True, 1)), "PNEUMONIA": ((True, 5), (False, 1))}  # 3 of 4 pairs in order
OTHER = {"NORMAL": ((False, 5), (False, 2)), "PNEUMONIA": ((True, 5), (True, 2))}  # all 4


def lock(context: StudyContext, name: str, said: dict[str, tuple[tuple[bool, int], ...]]) -> None:
    number = context.store.reader(name)
    left = {label: list(answers) for label, answers in said.items()}
    for case in context.store.cases():
        ill, sure = left[str(case.label)].pop(0)
        marks = (Mark("box", ((1.0, 1.0), (9.0, 9.0))),) if ill else ()
        label = "PNEUMONIA" if ill else "NORMAL"
        saved = context.store.save(case.id, number, Reading(0, ill, label, sure, "", marks, 1.0), f"{name}-{case.id}")
        context.store.lock(case.id, number, saved.revision)
        scored = {"called": label, "margin": 2.0 if case.label == "PNEUMONIA" else -2.0}
        (context.reveal.folder / f"{case.id}.answer.json").write_text(json.dumps(scored))


def test_times_are_medians_of_what_was_spent(tmp_path: Path) -> None:
    context = make_study(tmp_path, count=5, shape=(40, 50))
    number = context.store.reader("Dr A")
    for case, spent in zip(context.store.cases(), (9.0, 1.0, 2.5, 4.0, 3.0), strict=True):
        context.store.save(case.id, number, Reading(0, None, None, None, "", (), 0.0), f"open-{case.id}")
        saved = context.store.save(case.id, number, Reading(1, False, "NORMAL", 3, "", (), spent), f"said-{case.id}")
        context.store.lock(case.id, number, saved.revision)
        if spent < 4:
            final = Final(0, "NORMAL", 3, "agree", "", spent / 2, "now")
            context.store.save_final(case.id, number, final, f"done-{case.id}")
    found = gather(context)
    # the first save of 9 seconds is cut to the clock's 5 and what passed since the one before
    assert found.seconds == (("Dr A", 3.0, 1.25),)
    assert found.progress == (("Dr A", 5, 3, 5),)
    context.close()


def test_figures_of_readers_and_the_reason_without_them(tmp_path: Path) -> None:
    context = make_study(tmp_path, count=4, shape=(40, 50))
    lock(context, "Dr A", ONE)
    alone = write_statistics(context, tmp_path / "alone.html").read_text()
    assert "one reader has locked readings" in alone and "1 reader; it takes two readers" in alone
    lock(context, "Dr <i>B", OTHER)
    found = gather(context).panel
    assert {k: round(e.value or 0, 4) for k, e in found.between.items()} == {
        "krippendorff_alpha": 0.125,
        "cohen_kappa Dr A – Dr <i>B": 0.0,
        "krippendorff_alpha graded by confidence": 0.8293,  # 1 − 2 / (656 / 56), from the mean ranks 1, 1, 2.5 … 7
        "krippendorff_alpha finding": 0.125,
        "gwet_ac1": 0.0,  # half agree, and half would by chance
        "gwet_ac1 finding": 0.0,
        "cohen_kappa Dr A – Dr <i>B, finding": 0.0,
    }
    assert [e.value for _, _, e in found.against.aurocs] == [0.75, 1.0, 1.0]
    assert found.against.average["blinded"].value == 0.875
    assert found.against.gap and found.against.gap.value == -0.125 and found.change.gap is None
    page = write_statistics(context, tmp_path / "statistics.html").read_text()
    for words in ("Krippendorff's α", "Cohen's κ, Dr A and Dr &lt;i&gt;B", "Obuchowski", "−0.125", "Not applicable"):
        assert words.replace("'", "&#39;") in page or words in page
    assert "<i>B" not in page
    one, other = gather(context).differed  # the model and Dr B are always right; Dr A errs once in each class
    assert (one.films, one.both, one.doctor, one.model, one.neither, one.p) == (4, 2, 0, 2, 0, 0.5)
    assert (other.both, other.model, other.p) == (4, 0, None)
    assert "Who was right when they differed" in page and "What they wrote" not in page
    context.close()
