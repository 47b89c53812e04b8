"""Dropout's masks, drawn as bytes: torch draws them one number at a time on most CPUs, which is a tenth of a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

#: A byte has so many values: the share that is dropped is rounded to 1/256.
LEVELS = 256


@dataclass(frozen=True)
class Noise:
    """A source of masks for one pass; what it draws follows from torch's own seed."""

    rng: np.random.Generator

    @classmethod
    def seeded(cls) -> Noise:
        """Return a source that goes on from torch's seed, and moves it."""
        return cls(np.random.Generator(np.random.SFC64(int(torch.randint(2**62, (1,))))))

    def kept(self, shape: tuple[int, ...], share: float) -> torch.Tensor | None:
        """Return what is kept where ``share`` is dropped, bool of a shape; None if nothing is dropped."""
        level = levels(share)
        if not level:
            return None
        count = int(np.prod(shape))
        words = self.rng.integers(0, 2**64, size=-(-count // 8), dtype=np.uint64)
        return (torch.from_numpy(words.view(np.uint8)[:count]) >= level).view(shape)


def levels(share: float) -> int:
    """Return the number of a byte's values that mean dropped: none for 0, at least one and not all for any other share."""
    return 0 if share <= 0 else min(max(round(share * LEVELS), 1), LEVELS - 1)


def scale(share: float) -> float:
    """Return what is kept is multiplied by, so that its mean stays."""
    return LEVELS / (LEVELS - levels(share))
