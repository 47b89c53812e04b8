"""All that a rank trains with, put together from a job: feeds, network, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import DataError
from sparknlp_ft.identity import of_training
from sparknlp_ft.models.device import pick_dtype
from sparknlp_ft.models.first_token import answer_by_first
from sparknlp_ft.models.folder import build_network
from sparknlp_ft.models.tuning import trained_share, tune
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tasks import Setup, get_task
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.training.active_rows import ActiveEmbedding, train_active_rows
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.device import choose_device, pick_attention, seed_all, set_threads
from sparknlp_ft.training.feed import Feed
from sparknlp_ft.training.forward import Forward
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.optimizer import Optimizer
from sparknlp_ft.training.packed import pack_encoder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Seat:
    """Where a rank sits: its number among the ranks of its machine, their number, and the GPUs Spark gave its task."""

    local_rank: int = 0
    local_size: int = 1
    gpus: Sequence[str] = ()


@dataclass(frozen=True)
class Parts:
    """All that a rank trains with."""

    job: TrainJob
    manifest: Manifest
    forward: Forward
    optimizer: Optimizer
    trained_share: float
    active: ActiveEmbedding | None
    train: Feed
    validation: Feed | None
    threads: int

    @property
    def deciding(self) -> dict[str, Any]:
        """What must not change between a checkpoint and the run that goes on from it. Ranks and threads may."""
        return of_training(self.job.resolved, self.manifest.name)


def assemble(job: TrainJob, comm: Comm, seat: Seat) -> Parts:
    """Build feeds, network and optimizer; the weights of all ranks are rank 0's."""
    config = job.resolved
    threads = set_threads(config.launch.threads, seat.local_size)
    device = choose_device(seat.local_rank, seat.gpus)
    task, manifest = get_task(config.data.task), Manifest.load(job.manifest_path)
    encoder = TextEncoder.load(job.base_dir, config.text, default_window=task.default_window)

    def feed(split: str) -> Feed:
        found = Feed(manifest, split, rank=comm.rank, size=comm.size, encoder=encoder, config=config.train)
        found.reader = config.launch.reader
        return found

    train = feed("train")
    if not train.rows:
        raise DataError(f"snapshot {manifest.path!r} of table {manifest.table!r} has no rows to train on; check data.train_split")
    seed_all(config.train.seed)
    prior = task.prior(manifest.statistics, manifest.labels)
    pairs = manifest.has_pair and encoder.tells_pairs
    network = build_network(job.base_dir, task, manifest.labels, settings=config.model, prior=prior, pairs=pairs)
    precision = pick_dtype(config.train.precision, device)
    pick_attention(network, device, precision)
    network = tune(network, config.model, seed=config.train.seed).to(device)
    answer_by_first(network)
    unwritten = pack_encoder(network, device, precision)
    share = trained_share(network)
    _share_weights(network, comm)
    active = train_active_rows(network, train, comm)
    setup = Setup(manifest.labels, task.settings(config, manifest.statistics), encoder)
    forward = Forward(network, task, setup, device, precision, config.model.distil.temperature)
    total_steps = train.steps_per_epoch * config.train.length
    optimizer = Optimizer(network, config.train, total_steps=total_steps, zeros=comm.zeros, unwritten=unwritten)
    validation = feed("validation") if "validation" in manifest.splits else None
    return Parts(job, manifest, forward, optimizer, share, active, train, validation, threads)


def _share_weights(network: torch.nn.Module, comm: Comm) -> None:
    import torch

    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            comm.broadcast_(tensor)
