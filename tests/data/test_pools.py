import pytest

from softspoken.data.examples import Pools
from softspoken.errors import ConfigError

LENGTHS = [(number * 37) % 101 / 10 for number in range(150)]


def order(pool: int, batch: int, seed: int = 0) -> list[int]:
    pools = Pools(len(LENGTHS), pool, batch, seed, LENGTHS.__getitem__)
    return [pools.place(index) for index in range(len(LENGTHS))]


def spread(places: list[int], batch: int) -> float:
    """Seconds of padding, if batches were made of these places in this order."""
    batches = [places[first : first + batch] for first in range(0, len(places), batch)]
    return sum(max(LENGTHS[p] for p in each) - LENGTHS[place] for each in batches for place in each)


def test_every_item_comes_once_and_near_its_own_place() -> None:
    dealt = order(pool=32, batch=4)
    assert sorted(dealt) == list(range(len(LENGTHS)))
    assert all(index // 32 == place // 32 for index, place in enumerate(dealt))


def test_batches_are_about_equally_long_and_not_sorted_among_each_other() -> None:
    dealt = order(pool=32, batch=4)
    assert spread(dealt, 4) < 0.3 * spread(list(range(len(LENGTHS))), 4)
    firsts = [LENGTHS[dealt[first]] for first in range(0, 32, 4)]
    assert firsts != sorted(firsts)
    assert order(pool=32, batch=4, seed=1) != dealt


def test_the_order_does_not_depend_on_what_was_asked_before() -> None:
    pools = Pools(len(LENGTHS), 32, 4, 0, LENGTHS.__getitem__)
    wanted = [149, 3, 77, 3]
    assert [pools.place(index) for index in wanted] == [order(pool=32, batch=4)[index] for index in wanted]


def test_a_pool_of_one_keeps_the_order_and_none_is_refused() -> None:
    assert Pools(10, 7, 2, 0, LENGTHS.__getitem__).pool == 6  # whole batches
    assert order(pool=1, batch=4) == list(range(len(LENGTHS)))
    with pytest.raises(ConfigError, match="pool of 0"):
        order(pool=0, batch=4)
