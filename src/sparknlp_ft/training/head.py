"""A new head begins at the mean vector of each label's rows, and not anywhere.

What a sentence encoder says of a text tells labels apart before anything is learned (Snell et al., arXiv:1703.05175). A head that
begins there has little left to find, and the encoder is not taught in the first steps to suit a head that was drawn. How far it is
to be believed is measured on the rows themselves, each against means that do not hold it: where they tell nothing it stays as drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sparknlp_ft.models.pooling import DIFFERENCE, MEAN, POOLING
from sparknlp_ft.progress import log
from sparknlp_ft.tasks import Rows
from sparknlp_ft.tasks.task import by_row
from sparknlp_ft.training.comm import Comm

if TYPE_CHECKING:
    from sparknlp_ft.training.assembly import Parts
    from sparknlp_ft.training.feed import Batch

#: Rows that means are taken of, at most, more or less.
MOST_ROWS = 3_000
#: Logits between the nearest and the farthest text that are tried; 0: the head stays as drawn.
SCALES = (0.0, 1.0, 2.0, 5.0, 10.0)
#: Share of the loss of a drawn head, at most, that the labels' means must come to, for how far two texts are apart to be believed.
TELLING = 0.98


def settle_pooling(parts: Parts, comm: Comm) -> None:
    """Have a new head see the mean of two texts where how far their means are apart tells no labels apart.

    Texts of the same words in another order, say, are next to nowhere apart: there is nothing for a head to begin with, and it learns
    nothing. Decided by train rows and the base alone, so that a training that goes on decides the same; a task of numbers keeps the
    difference.
    """
    network: Any = parts.forward.network
    asked = parts.job.resolved.model.pooling == "auto" and getattr(network.config, POOLING, None) == DIFFERENCE
    if not asked or "classifier.weight" not in network.drawn:
        return
    share = 0.0
    if (gathered := _gathered(parts, comm)) is not None and parts.forward.task.marks(gathered[1], parts.forward.setup.labels) is not None:
        found = _means(parts, *gathered)
        share = 1.0 if found is None else min(found[1].values()) / found[1][0.0]
    if comm.allgather_object(share)[0] > TELLING:
        setattr(network.config, POOLING, MEAN)
        log.info("head: how far two texts are apart tells no labels apart; it sees the mean of both")


def begin_head(parts: Parts, comm: Comm) -> float:
    """Put a newly drawn head where the labels' means are; return the scale that was chosen, 0 if it stays as it is.

    Only heads that are one linear layer on means of tokens begin so, of tasks whose outputs are labels.
    """
    if parts.job.resolved.model.head == "drawn" or not _can(parts.forward.network):
        return 0.0
    gathered = _gathered(parts, comm)
    chosen = 0.0 if gathered is None else _begin(parts, *gathered)
    for parameter in _head(parts).parameters():
        with torch.no_grad():
            comm.broadcast_(parameter)
    return float(comm.allgather_object(chosen)[0])


def _can(network: Any) -> bool:
    return hasattr(network.config, POOLING) and network.classifier.weight.requires_grad and "classifier.weight" in network.drawn


def _gathered(parts: Parts, comm: Comm) -> tuple[torch.Tensor, list[Any]] | None:
    """Return the vectors of all ranks' rows and their targets, in the order of the rows, on rank 0; None on others."""
    gathered = comm.allgather_object(_vectors(parts))
    if comm.rank:
        return None
    row, vectors, targets = (np.concatenate([part[i] for part in gathered]) for i in range(3))
    order = np.argsort(row, kind="stable")
    return torch.from_numpy(vectors[order]), [targets[i] for i in order]


def _vectors(parts: Parts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row hashes, the vectors that the head sees, float32 [rows, hidden], and targets: of this rank's rows, or a sample of them."""
    forward, most = parts.forward, parts.job.resolved.train.micro_batch_tokens
    head = _head(parts)
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, given: seen.append(given[0].float()))
    found: list[tuple[np.ndarray, np.ndarray, list[Any]]] = []
    training = forward.network.training
    forward.network.eval()
    try:
        with torch.inference_mode():
            for batch in parts.train.evaluation(most):
                some = batch.take(_sampled(batch, parts.train.rows))
                if len(some):
                    rows = some.rows(np.arange(len(some)))
                    forward.output(rows)
                    found.append((some.row, by_row(seen.pop(), rows).numpy(force=True), some.targets))
    finally:
        hook.remove()
        forward.network.train(training)
    return _joined(found, head.in_features)


def _head(parts: Parts) -> torch.nn.Linear:
    network: Any = parts.forward.network
    found: torch.nn.Linear = network.classifier
    return found


def _sampled(batch: Batch, rows: int) -> np.ndarray:
    """Return the rows of a batch that are looked at: by their hashes, so that ranks change nothing."""
    return np.flatnonzero((batch.row.astype(np.uint64) % np.uint64(1_000_003)) < 1_000_003 * min(1.0, MOST_ROWS / rows))


def _joined(found: list[tuple[np.ndarray, np.ndarray, list[Any]]], width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets = [target for _, _, some in found for target in some]
    held = np.empty(len(targets), dtype=object)
    held[:] = targets
    row = np.concatenate([np.zeros(0, dtype=np.int64), *(one for one, _, _ in found)])
    return row, np.concatenate([np.zeros((0, width), dtype=np.float32), *(one for _, one, _ in found)]), held


def _begin(parts: Parts, vectors: torch.Tensor, targets: list[Any]) -> float:
    """Choose the scale and set the head; return the scale."""
    head, found = _head(parts), _means(parts, vectors, targets)
    if found is None:
        return 0.0
    means, losses = found
    scale = min(SCALES, key=lambda one: losses[one])
    if scale:
        weight = means.directions * (scale / means.spread)
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.add_(-(weight @ means.centre).to(head.bias.device))
        log.info(
            "head: begins at the means of %d labels, scale %g, loss %.3f (%.3f as drawn)", len(weight), scale, losses[scale], losses[0.0]
        )
    return scale


def _means(parts: Parts, vectors: torch.Tensor, targets: list[Any]) -> tuple[Means, dict[float, float]] | None:
    """Return the labels' means and the loss of each scale, of rows held against means without them; None: there are no such."""
    forward = parts.forward
    marks = forward.task.marks(targets, forward.setup.labels)
    if marks is None:
        return None
    means = Means(vectors, torch.from_numpy(marks))
    left_out, known = means.left_out()
    if not known.any():
        return None
    rows = Rows([[]] * int(known.sum()), [targets[i] for i in np.flatnonzero(known.numpy())])
    bias = _head(parts).bias.detach().cpu()
    return means, {scale: float(forward.task.loss(scale * left_out[known] + bias, rows, forward.setup).mean()) for scale in SCALES}


class Means:
    """The labels' mean vectors, seen from their centre.

    Args:
        vectors: float32 [rows, hidden].
        marks: Whether a row bears a label, bool [rows, labels].

    Attributes:
        centre: Mean of the labels' means, [hidden].
        directions: Of each label's mean from there, of length 1, [labels, hidden]; zeros for a label without rows.
        spread: How far rows are from there, in the mean.
    """

    def __init__(self, vectors: torch.Tensor, marks: torch.Tensor) -> None:
        self.marks, self.counts = marks, marks.sum(dim=0)
        sums = marks.float().T @ vectors
        means = sums / self.counts.clamp(min=1)[:, None]
        self.centre = means[self.counts > 0].mean(dim=0)
        self.vectors, self.sums = vectors - self.centre, sums - self.counts[:, None] * self.centre
        self.directions = torch.nn.functional.normalize(self.sums, dim=1)
        self.spread = float(self.vectors.norm(dim=1).mean().clamp(min=1e-6))

    def left_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how near each row is to each label, [rows, labels], to its own labels without itself; and which rows have such."""
        near = self.vectors @ self.directions.T
        row, label = torch.nonzero(self.marks, as_tuple=True)
        others = torch.nn.functional.normalize(self.sums[label] - self.vectors[row], dim=1)
        near[row, label] = (others * self.vectors[row]).sum(dim=1)
        alone = (self.marks & (self.counts == 1)).any(dim=1)
        return near / self.spread, ~alone
