"""Pulls over connections that are cut: they go on where they were."""
import random

import pytest

import models
import tool
import trees
from cutter import Cutter, at_random

MIB = 2**20
SIZES = (48 * MIB, 24 * MIB)
TOTAL = sum(SIZES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    root, chance = tmp_path_factory.mktemp("weights"), random.Random(models.SEED)
    for number, size in enumerate(SIZES):
        (root / f"part{number}.bin").write_bytes(chance.randbytes(size))
    return root


@pytest.fixture
def stored(registry, repo, weights):
    """A model in the registry, without its host."""
    tool.ok("pack", weights, f"{repo}:v1")
    return f"{repo.split('/', 1)[1]}:v1"


@pytest.mark.parametrize("how", [dict(cut_after=lambda: 4 * MIB),
                                 dict(cut_after=at_random(models.SEED, MIB, 8 * MIB)),
                                 dict(rate=20 * MIB, seconds=0.5)],
                         ids=["every 4 MiB", "at random", "by the clock"])
def test_a_pull_over_connections_that_are_cut_fetches_nothing_twice(tmp_path, registry, stored, weights, how):
    way = Cutter(registry.port, answers=True, **how)
    try:
        tool.ok("pull", way.ref(stored), tmp_path / "out")
    finally:
        way.close()
    assert way.cuts > 2
    assert way.received <= 1.05 * TOTAL
    trees.assert_same(weights, tmp_path / "out")
