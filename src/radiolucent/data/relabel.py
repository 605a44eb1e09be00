"""Labels of another folder in a classifier's own order."""

import dataclasses

from radiolucent.data.label_cells import name_text
from radiolucent.data.multilabel import refuse_labels
from radiolucent.data.records import Dataset, Record
from radiolucent.errors import DataError
from radiolucent.types import plain_label

__all__ = ["relabel"]


def relabel(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """The data set with labels that index `class_names`, matched by name as spellings of one class are joined.

    A model whose classes are called 0.0 and 1.0, as earlier versions read them, knows 0 and 1.

    Raises:
        DataError: a class of the data set is none of the classifier's, or its films have several labels.
    """
    refuse_labels(
        dataset, "a model of one class a film", "name a column with --classes, or give films of one class each"
    )
    known = [plain_label(name_text(n) or n) for n in class_names]
    unknown = [n for n in dataset.class_names if n not in class_names and plain_label(n) not in known]
    if unknown:
        raise DataError(
            f"{dataset.source}: classes {', '.join(unknown)} are none of the model's ({', '.join(class_names)}); "
            "rename the folders, or use a manifest with a label column."
        )
    place = [class_names.index(n) if n in class_names else known.index(plain_label(n)) for n in dataset.class_names]

    def move(record: Record) -> Record:
        return record if record.label is None else dataclasses.replace(record, label=place[record.label])

    return dataclasses.replace(dataset, records=tuple(move(r) for r in dataset.records), class_names=class_names)
