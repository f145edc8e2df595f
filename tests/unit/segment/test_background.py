"""Steps taken in order background another thread."""

import threading

import pytest
import torch

from dixonflow.segment.background import BackgroundSteps


@pytest.mark.parametrize("in_thread", [True, False])
def test_steps_are_taken_in_order_and_are_done_at_the_end(in_thread: bool) -> None:
    taken: list[int] = []
    threads = set()

    def step(number: int) -> None:
        threads.add(threading.get_ident())
        taken.append(number)

    with BackgroundSteps(in_thread) as background:
        for number in range(20):
            background.submit(lambda number=number: step(number))
    assert taken == list(range(20))
    assert (threads == {threading.get_ident()}) is not in_thread
    assert len(threads) == 1


def test_no_more_than_one_step_waits() -> None:
    first, go = threading.Event(), threading.Event()
    begun: list[int] = []

    def step(number: int) -> None:
        begun.append(number)
        first.set()
        go.wait()

    def second() -> None:
        background.submit(lambda: step(1))
        begun.append(100)

    with BackgroundSteps(True) as background:
        background.submit(lambda: step(0))
        first.wait()
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        assert begun == [0]
        go.set()
        waiting.join()


@pytest.mark.parametrize("in_thread", [True, False])
def test_the_error_of_a_step_is_raised_and_ends_the_rest(in_thread: bool) -> None:
    taken = []

    def fails() -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"), BackgroundSteps(in_thread) as background:
        background.submit(fails)
        background.submit(lambda: taken.append(1))
    assert taken == []
    with pytest.raises(KeyError), BackgroundSteps(in_thread) as background:  # the error of the block comes first
        if in_thread:
            background.submit(fails)
        raise KeyError


def test_the_thread_has_as_many_threads_of_torch_and_keeps_no_gradients() -> None:
    before = torch.get_num_threads()
    seen = []
    torch.set_num_threads(3)
    try:
        with BackgroundSteps(True) as background:
            background.submit(lambda: seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled())))
    finally:
        torch.set_num_threads(before)
    assert seen == [(3, True)]
