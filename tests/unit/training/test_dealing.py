"""Global batches: exact sizes, every row of every lane once, whatever the lanes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.training.dealing import POOL_STEPS, Dealing


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(1, 40))
def test_every_batch_is_full_but_the_last_and_every_row_is_dealt_once(lane_rows: list[int], batch_size: int) -> None:
    dealing = Dealing(lane_rows, batch_size)
    pools = list(dealing.pools(seed=1, epoch=0))
    counts = np.concatenate([pool.counts for pool in pools]) if pools else np.zeros((0, len(lane_rows)), dtype=int)
    assert counts.sum(axis=0).tolist() == lane_rows
    assert len(counts) == dealing.steps
    sizes = counts.sum(axis=1).tolist()
    assert all(size == batch_size for size in sizes[:-1])
    assert (counts >= 0).all()
    for pool in pools:
        assert sorted(pool.order.tolist()) == list(range(len(pool.counts))) and len(pool.counts) <= POOL_STEPS


def test_lanes_share_each_batch_evenly() -> None:
    counts = np.concatenate([pool.counts for pool in Dealing((1190, 1222, 1180, 1201), 32).pools(seed=1, epoch=0)])
    assert (abs(counts[:-1] - 8) <= 1).all()


def test_the_order_of_steps_depends_on_seed_and_epoch() -> None:
    dealing = Dealing((500, 500), 10)
    orders = {(seed, epoch): next(dealing.pools(seed=seed, epoch=epoch)).order.tolist() for seed in (1, 2) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert orders[1, 0] == next(dealing.pools(seed=1, epoch=0)).order.tolist()
