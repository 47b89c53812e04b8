"""Train only the rows of the word-embedding table that the training split uses; the result is that of training all.

A data set uses a part of a vocabulary (a tenth of BERT's, a hundredth of XLM-R's). AdamW does nothing to the other rows
but decay them: their gradient and both moments are zero. So the rows in use become a small parameter of their own, and
the decay of the others is kept as one number and applied when the whole table is wanted. That spares, at each step,
zero-filling, summing over ranks and updating a gradient of the whole table (47 MB for MiniLM). A row-wise (sparse)
gradient would not do: a row keeps moving by its momentum in steps that do not touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.feed import Feed

#: Training rows above which the pass that finds the ids in use is not made: so many rows use most of a vocabulary.
MOST_ROWS = 2_000_000

#: Share of the table above which nothing is gained.
MOST_OF_TABLE = 0.5


class ActiveEmbedding(nn.Module):
    """An embedding table of which only some rows are trained.

    In training mode it looks ids up among the trained rows, in evaluation mode in the whole table.

    Args:
        table: The table; frozen, and brought up to date by ``fold``.
        ids: The rows to train, distinct; no other id may come up in training.
    """

    index: torch.Tensor
    place: torch.Tensor

    def __init__(self, table: nn.Embedding, ids: np.ndarray) -> None:
        super().__init__()
        index = torch.as_tensor(ids, dtype=torch.long, device=table.weight.device)
        self.table = table
        self.table.weight.requires_grad_(False)
        self.rows = nn.Parameter(table.weight[index].clone())
        # An id that is not trained maps outside the rows: looking it up is an error, not a silent wrong row.
        place = torch.full((table.num_embeddings,), len(ids), dtype=torch.long, device=index.device)
        place[index] = torch.arange(len(ids), device=index.device)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("place", place, persistent=False)
        self.padding = None if table.padding_idx is None else int(place[table.padding_idx])
        self.pending_decay = 1.0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.training:
            return nn.functional.embedding(self.place[ids], self.rows, padding_idx=self.padding)
        return self.table(ids)

    def train(self, mode: bool = True) -> ActiveEmbedding:
        if not mode:
            self.fold()
        return super().train(mode)

    def decay(self, factor: float) -> None:
        """Note that a step has multiplied the rows that get no gradient by ``factor``."""
        self.pending_decay *= factor

    @torch.no_grad()
    def fold(self) -> None:
        """Bring the whole table up to date."""
        if self.pending_decay != 1.0:
            self.table.weight.mul_(self.pending_decay)
            self.pending_decay = 1.0
        self.table.weight[self.index] = self.rows


def train_active_rows(network: Any, feed: Feed, comm: Comm) -> ActiveEmbedding | None:
    """Put an ``ActiveEmbedding`` into a network where that pays; otherwise leave it and return None.

    It does not for tables that are frozen, that are shared with an output layer or a decoder, that normalise their rows, or
    of which most is in use.

    Args:
        network: A model of transformers.
        feed: The training split; read once.
        comm: The ranks; all must come here.
    """
    table = network.get_input_embeddings()
    if not table.weight.requires_grad or getattr(network.config, "is_encoder_decoder", False):
        return None
    shared = network.get_output_embeddings()
    if type(table) is not nn.Embedding or table.max_norm is not None or feed.rows > MOST_ROWS:
        return None
    if shared is not None and getattr(shared, "weight", None) is table.weight:
        return None
    encoder = feed.encoder
    probes = (encoder.single, encoder.pair)
    specials = [encoder.pad_id, *encoder.prefix, *(id for probe in probes for id in (*probe.prefix, *probe.middle, *probe.suffix))]
    padding = [] if table.padding_idx is None else [table.padding_idx]
    ids = np.unique(np.concatenate([*comm.allgather_object(feed.token_ids()), specials, padding])).astype(np.int64)
    if len(ids) > MOST_OF_TABLE * table.num_embeddings:
        return None
    active = ActiveEmbedding(table, ids)
    network.set_input_embeddings(active)
    return active


@contextmanager
def whole_table(network: Any, active: ActiveEmbedding | None) -> Iterator[None]:
    """Give a network its own table back, up to date, for as long as it is saved."""
    if active is None:
        yield
        return
    active.fold()
    network.set_input_embeddings(active.table)
    try:
        yield
    finally:
        network.set_input_embeddings(active)
