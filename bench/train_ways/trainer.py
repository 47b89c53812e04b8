"""``transformers.Trainer``, as it comes or with its grouping by length, in one process or as one of torchrun's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from bench.train_ways.common import MEGA_BATCH, Prepared, evaluate
from bench.train_ways.meter import Meter


class Grouped(torch.utils.data.Sampler):
    """Trainer's own grouping, in mega-batches of the size it takes on a large data set; on a small one it takes smaller ones."""

    def __init__(self, lengths: list[int], batch_size: int) -> None:
        self.lengths, self.batch_size = lengths, batch_size

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Any:
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, mega_batch_mult=MEGA_BATCH))


class Watched(Trainer):
    """A Trainer that tells a meter of each step."""

    meter: Meter

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*arguments, **named)
        self.last_loss = float(loss)
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        return Grouped([len(row) for row in self.train_dataset["input_ids"]], self.args.train_batch_size)


class Told(TrainerCallback):
    """Tells a meter where epochs and steps begin and end."""

    def __init__(self, trainer: Watched) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.trainer.meter.begin_epoch()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.trainer.meter.step(self.trainer.last_loss)

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.trainer.meter.end_epoch()


def train(folder: Path, out: Path, *, processes: int, grouped: bool) -> None:
    """Train, and leave what was measured."""
    prepared = Prepared.load(folder)
    trainer = Watched(
        model=prepared.network(),
        args=arguments(prepared, out, processes=processes, grouped=grouped),
        train_dataset=dataset(prepared.train),
        data_collator=DataCollatorWithPadding(prepared.tokenizer()),
    )
    trainer.meter = Meter()
    trainer.meter.watch(trainer.model)
    trainer.add_callback(Told(trainer))
    trainer.train()
    trainer.meter.write(out, trainer.args.process_index, evaluate(trainer.model, prepared))


def arguments(prepared: Prepared, out: Path, *, processes: int, grouped: bool) -> TrainingArguments:
    """Return the settings of this project in Trainer's words; what they do not speak of is left as it comes."""
    train = prepared.config.train
    return TrainingArguments(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=train.step_rows // processes,
        num_train_epochs=train.length,
        learning_rate=train.rate,
        lr_scheduler_type=train.schedule,
        warmup_steps=train.warmup_fraction,
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        seed=train.seed,
        bf16=prepared.dtype is torch.bfloat16,
        use_cpu=True,
        ddp_backend="gloo" if processes > 1 else None,
        train_sampling_strategy="group_by_length" if grouped else "random",
        # BERT's own loss is a mean already; Trainer would multiply it by the number of processes.
        average_tokens_across_devices=False,
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def dataset(rows: dict[str, Any]) -> datasets.Dataset:
    """Return rows as a tokenizer gives them."""
    masks = [[1] * len(row) for row in rows["input_ids"]]
    types = [[0] * len(row) for row in rows["input_ids"]]
    return datasets.Dataset.from_dict({**rows, "attention_mask": masks, "token_type_ids": types})
