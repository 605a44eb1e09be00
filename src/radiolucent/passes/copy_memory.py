"""What one more image in a batch costs: memory, and multiply-adds."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from radiolucent.models import Classifier
from radiolucent.models.per_network import remember, structure_of

__all__ = ["bytes_per_image", "multiply_adds"]


class _Counted(TorchDispatchMode):
    """Bytes of the largest step of a pass: what it reads and writes, weights included; and all its multiply-adds."""

    size = 0
    products = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled meanwhile, and torch would load its compiler (seconds) to say so

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        held = {t.data_ptr(): t.numel() * t.element_size() for t in tree_leaves((args, out)) if _is_map(t)}
        self.size = max(self.size, sum(held.values()))
        name = func.overloadpacket.__name__
        if name in ("convolution", "mkldnn_convolution"):
            self.products += out.numel() * args[1][0].numel()
        elif name in ("mm", "addmm", "bmm", "baddbmm"):
            self.products += out.numel() * args[-1].shape[-2]
        return out


def _is_map(value: Any) -> bool:
    strided = isinstance(value, torch.Tensor) and value.layout == torch.strided
    return strided and not isinstance(value, torch.nn.Parameter)


def bytes_per_image(classifier: Classifier, example: torch.Tensor) -> int:
    """An estimate of the bytes one more image in a batch takes: twice the largest step of a pass and thrice the image.

    Twice, because skip connections keep maps alive and convolutions need working memory. Measured once for an input
    shape.
    """
    return _counted(classifier, example, "bytes")[0]


def multiply_adds(classifier: Classifier, example: torch.Tensor) -> int:
    """Multiply-adds of convolutions and matrix products in one image's pass. Counted once for an input shape."""
    return _counted(classifier, example, "multiply-adds")[1]


def _counted(classifier: Classifier, example: torch.Tensor, asked: str) -> tuple[int, int]:
    shape, network = tuple(example.shape[1:]), classifier.network

    def count() -> tuple[int, int]:
        with _Counted() as counted:
            classifier.logits(example[:1])
        return 2 * counted.size + 3 * example[:1].numel() * example.element_size(), counted.products

    return remember(network, (asked, shape), structure_of(network), count)
