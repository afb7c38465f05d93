"""Work that several threads share comes in order, stops when it is told to, and is the same as on one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from workbench.numerics.controls import draw_until_clear
from workbench.numerics.threads import cores, free_cores, in_order, one_thread


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")


def test_results_come_in_order_whatever_takes_long(four_cores: None) -> None:
    used = set()

    def work(i: int) -> int:
        used.add(threading.get_ident())
        time.sleep(0.02 if i % 4 == 0 else 0)
        return i * i

    assert list(in_order(work, range(40))) == [i * i for i in range(40)]
    assert 1 < len(used) <= 4


def test_only_a_few_items_are_made_ahead(four_cores: None) -> None:
    made: list[int] = []

    def items() -> object:
        for i in range(1000):
            made.append(i)
            yield i

    results = in_order(lambda i: i, items())  # type: ignore[arg-type]
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(made) <= 3 + 8


def test_inside_one_thread_it_is_done_here(four_cores: None) -> None:
    assert cores() == free_cores() == 4
    with one_thread():
        assert free_cores() == 1
        used = set(in_order(lambda _: threading.get_ident(), range(10)))
    assert used == {threading.get_ident()}


def test_an_error_is_raised_where_its_result_would_come(four_cores: None) -> None:
    results = in_order(lambda i: 1 // i, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_numpy_takes_an_overflow_for_holds_in_threads(four_cores: None) -> None:
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(in_order(lambda i: np.float64(1e308) * i, [10]))


def test_draws_are_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}
    for many in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", many)
        drawn[many] = draw_until_clear(
            lambda rng: np.linalg.eigvalsh(np.cov(rng.standard_normal((20, 60))))[-2:],
            np.array([1.9, 99.0]),
            ("greater", "greater"),
            60,
            0,
            apart=True,
        )
    for one, three in zip(drawn["1"], drawn["3"], strict=True):
        np.testing.assert_array_equal(one, three)


def test_threads_come_back_in_whatever_order_blocks_end() -> None:
    def most() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    before = most()
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(most()) == {1} and free_cores() == 1
    second.__exit__(None, None, None)
    assert most() == before and free_cores() == cores()
