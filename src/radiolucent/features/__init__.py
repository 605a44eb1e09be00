"""What a network looks at inside: its channels on a film, its filters, what they want, and what excites them."""

from radiolucent.features.ascent import Ascent, Wanted, visualise
from radiolucent.features.channels import ChannelMaps, channel_maps, layer_strip, layers_of
from radiolucent.features.concepts import Concept, Concepts, concepts
from radiolucent.features.exciting import Patch, exciting_patches
from radiolucent.features.filters import FirstFilters, first_filters
from radiolucent.features.receptive import ReceptiveField, receptive_fields

__all__ = [
    "Ascent",
    "ChannelMaps",
    "Concept",
    "Concepts",
    "FirstFilters",
    "Patch",
    "ReceptiveField",
    "Wanted",
    "channel_maps",
    "concepts",
    "exciting_patches",
    "first_filters",
    "layer_strip",
    "layers_of",
    "receptive_fields",
    "visualise",
]
