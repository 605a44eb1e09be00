"""The report's pictures of a network's inside."""

from matplotlib.figure import Figure

from radiolucent import figures
from radiolucent.errors import ModelError
from radiolucent.features import channel_maps, first_filters, layer_strip
from radiolucent.models import Classifier
from radiolucent.reports import Picture
from radiolucent.types import Radiograph

__all__ = ["inside_pictures"]


def inside_pictures(classifier: Classifier, film: Radiograph) -> dict[str, Picture]:
    """Layers from stem to head, the last layer's most active channels, the first filters; empty where none exist."""
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
    return made
