"""One way in a process of its own: ``python -m bench.train_ways.child WAY FOLDER OUT [--ranks N] [--grouped]``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "trainer", "bare", "peak"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--grouped", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if options.way == "ours":
        from bench.train_ways import ours

        if options.ranks == 1:
            ours.one(options.folder, options.out)
        else:
            ours.several(options.folder, options.out, options.ranks)
    elif options.way == "trainer":
        from bench.train_ways import trainer

        trainer.train(options.folder, options.out, processes=options.ranks, grouped=options.grouped)
    elif options.way == "bare":
        from bench.train_ways import bare

        bare.train(options.folder, options.out)
    else:
        from bench.train_ways import peak

        peak.measure(options.folder, options.out)


if __name__ == "__main__":
    main()
