"""What happens to one item costs that item: results come in order, processes that die, swell or hang are replaced."""

import os
import signal
import time

import pytest

from dixonflow.system.guard import Allowance, FailedItem, guarded
from dixonflow.vocabulary import Reason


def work(item):
    what, value = item
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "raise":
        raise ValueError("a bug")
    if what == "swell":
        held = bytearray(value << 20)
        for place in range(0, len(held), 4096):
            held[place] = 1
        time.sleep(30)
    if what == "hang":
        time.sleep(60)
    return value * 2


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    seen = []
    results = guarded(work, [("ok", n) for n in range(20)], workers=workers, advance=lambda: seen.append(1))
    assert results == [2 * n for n in range(20)]
    assert len(seen) == 20
    assert guarded(work, []) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_ends_costs_its_item_alone(workers):
    items = [("ok", 1), ("die", 0), ("ok", 2), ("exit", 0), ("raise", 0), ("ok", 3)]
    results = guarded(work, items, workers=workers)
    assert [each for each in results if not isinstance(each, FailedItem)] == [2, 4, 6]
    assert [results[place].reason for place in (1, 3, 4)] == [Reason.WORKER_DIED] * 3


def test_limits_hold_for_each_item():
    allowance = Allowance(memory_mb=300, seconds=2)  # beyond what a forked process begins with
    results = guarded(work, [("swell", 600), ("ok", 1), ("hang", 0), ("ok", 2)], workers=2, allowance=allowance)
    assert [each.reason for each in results if isinstance(each, FailedItem)] == [Reason.OUT_OF_MEMORY, Reason.TIMEOUT]
    assert [results[1], results[3]] == [2, 4]


def test_an_error_of_the_caller_leaves_no_process(monkeypatch):
    def advance():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(work, [("ok", 1), ("hang", 0)], workers=2, advance=advance)
