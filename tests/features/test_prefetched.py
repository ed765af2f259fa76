"""Reading one item ahead: order, memory, errors."""

import threading

import pytest

from difflab.features.embed import prefetched


def test_the_next_item_is_read_while_one_is_used():
    begun = [threading.Event() for _ in range(5)]
    read = []

    def item(k: int) -> int:
        read.append(k)
        begun[k].set()
        return 10 * k

    for k, found in enumerate(prefetched(item, range(5))):
        assert found == 10 * k
        if k < 4:
            assert begun[k + 1].wait(10)  # nobody has asked for it yet
        assert read == list(range(min(k + 2, 5)))  # and nothing further


def test_an_error_comes_where_its_item_would_have():
    def item(k: int) -> int:
        if k == 2:
            raise ValueError("image 2")
        return k

    items = prefetched(item, range(4))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="image 2"):
        next(items)


def test_nothing_asked_for_is_nothing_read():
    assert list(prefetched(lambda k: k, [])) == []
