"""Images: which arrays of a program have their pixels first in memory."""

from __future__ import annotations

from collections.abc import Collection

from autobp.compiler.program import Program, Step

__all__ = ["images_in", "is_image"]


def images_in(program: Program) -> set[Step]:
    """The images whose pixels are first in memory, where pooling and elementwise work leave them."""
    images: set[Step] = set()
    for step in program.steps:
        if is_image(step, images):
            images.add(step)
    return images


def is_image(step: Step, images: Collection[Step]) -> bool:
    """Whether a step makes such an image, when it is known of the steps before it."""
    if not step.is_array:
        return False
    if step.operation.pixels == "first":
        return step.ndim == 4  # and no stack of them
    if step.operation.pixels == "kept":
        return step.args[0] in images
    if not step.is_elementwise:
        return False
    return any(isinstance(s, Step) and s in images and s.shape == step.shape for s in step.args)
