"""Sizes of the U-Net, and the anchor and the halo of its windows that follow from them.

A U-Net with pooling is not shift-invariant: moving its windows by one cell changes up to 1.6 % of the classes. So every window, in
training and in prediction, begins at an absolute multiple of `net_anchor` cells, and prediction adds a halo as wide as the receptive
field. The class of a cell then depends on the ground around it, and not on how the area was cut into windows.
"""

from __future__ import annotations

from dataclasses import dataclass

from imperviouslib.core.errors import ModelError, _

CONVOLUTIONS = 2
"""3 x 3 convolutions per level."""


@dataclass(frozen=True)
class NetSpec:
    """What a U-Net is built from."""

    features: int
    """Number of input features."""
    mean: tuple[float, ...]
    """Mean of each feature in stored units; the network subtracts it."""
    deviation: tuple[float, ...]
    """Standard deviation of each feature in stored units; the network divides by it."""
    depth: int = 3
    """Number of poolings; a cell of the deepest level covers 2^depth cells a side."""
    filters: int = 16
    """Filters of the first level; they double with each level."""

    def __post_init__(self) -> None:
        if not (len(self.mean) == len(self.deviation) == self.features and self.depth >= 1 and self.filters >= 1):
            raise ModelError(
                _("Sizes of the network"),
                found=str(self),
                expected=_("one mean and one deviation per feature, and depth and filters of at least 1"),
                then=_("Check the options depth= and filters=."),
            )


def net_anchor(depth: int) -> int:
    """Return how many cells a side one cell of the deepest level covers; windows begin at absolute multiples of it."""
    return 2**depth


def net_halo(depth: int) -> int:
    """Return the width in cells of the margin around a window that can change its result, rounded up to whole anchors.

    A convolution reaches one cell of its level further. Follow the first cell of a window down through the decoder and up again through
    the encoder: position // 2 going down, position * 2 going up.

    >>> [net_halo(depth) for depth in (1, 2, 3, 4)]
    [8, 24, 48, 96]
    """
    position = 0
    for _level in range(depth):
        position = (position - CONVOLUTIONS) // 2
    position -= CONVOLUTIONS
    for _level in range(depth):
        position = position * 2 - CONVOLUTIONS
    anchor = net_anchor(depth)
    return -(position // anchor) * anchor
