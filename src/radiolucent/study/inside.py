"""The report's pictures of a network's inside."""

from collections.abc import Iterable

from matplotlib.figure import Figure

from radiolucent import figures
from radiolucent.errors import ConfigError, DataError, ExplainError, ModelError
from radiolucent.features import channel_maps, concepts, first_filters, layer_strip
from radiolucent.models import Classifier
from radiolucent.reports import Picture
from radiolucent.types import Radiograph

__all__ = ["CONCEPTS", "inside_pictures"]

CONCEPTS = 6


def inside_pictures(classifier: Classifier, film: Radiograph, films: Iterable[Radiograph] = ()) -> dict[str, Picture]:
    """Layers from stem to head, the last layer's most active channels, the first filters, and the concepts of `films`.

    Empty where none exist. Why there are no concepts stands in the first picture's caption.
    """
    made: dict[str, Picture] = {}

    def add(name: str, figure: Figure, alt: str, caption: str) -> None:
        made[name] = Picture(figures.to_png(figure), alt, caption)

    try:
        strip = layer_strip(classifier, film)
        add(
            "strip",
            figures.layer_strip_plot(film, strip),
            "feature maps of layers from stem to head",
            f"{film.image_id} on its way through the network: maps grow coarser and answer to larger pieces.",
        )
        found = channel_maps(classifier, film, most=11)
        add(
            "channels",
            figures.channel_grid(film, found),
            "the last layer's most active channels",
            "The last layer's most active channels on the same film. What a channel stands for is not told by its map.",
        )
        add(
            "filters",
            figures.filter_grid(first_filters(classifier), most=16),
            "kernels of the first layer",
            "What the first layer looks for. Kernels that look like noise were hardly shaped by training.",
        )
    except ModelError:
        pass  # a network without feature maps, or that does not begin with a convolution, has less to show
    try:
        found = concepts(classifier, films, count=CONCEPTS)
    except (ConfigError, ExplainError, DataError) as error:
        if "strip" in made:
            first = made["strip"]
            made["strip"] = Picture(first.image, first.alt, f"{first.caption} No concepts are shown: {error}")
        return made
    add(
        "concepts",
        figures.concept_grid(found),
        "non-negative factors of the last features, with pieces of films that show them",
        f"What {found.layer} is made of on {len(found.image_ids)} test films: non-negative factors, the most important "
        f"first. Removing one changes the {found.score} of {found.target} by the figure beside it. A concept's name is "
        "for the reader to find; a suspicion is for an audit to test.",
    )
    return made
