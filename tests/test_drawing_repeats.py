"""What repeats in a sequence."""

import numpy as np

from autobp import Tensor, draw
from autobp.drawing.repeats import Repeat, repeats


def test_the_repeat_that_saves_most_is_found_first():
    inner = [1, 1, 1, 1, 2]
    assert repeats([0, *inner * 6, 9], [1] * 32) == [(1, 5, 6)]
    assert repeats([5, 5, 5, 6] * 2 + [7] * 9, [1] * 17) == [(8, 1, 9)]


def test_gaps_between_repeats_are_searched_again():
    found = repeats([1] * 20 + [2, 3] * 10 + [4] * 20, [1] * 60)
    assert found == [(0, 1, 20), (20, 2, 10), (40, 1, 20)]


def test_what_saves_little_is_no_repeat():
    assert repeats([1, 1, 1], [1] * 3) == []
    assert repeats([1, 1], [9, 9]) == [(0, 1, 2)]
    assert repeats([], []) == []


def test_repeats_never_overlap_and_are_what_they_say():
    rng = np.random.default_rng(0)
    for _ in range(200):
        row = rng.integers(3, size=rng.integers(1, 80)).tolist()
        found = repeats(row, [1] * len(row))
        end = 0
        for start, period, times in found:
            assert start >= end
            end = start + period * times
            assert row[start:end] == row[start : start + period] * times


def test_what_is_not_alike_is_cut_and_may_be_less_than_another_repeat():
    def alike(repeat):
        if repeat.period == 1 and repeat.start < 10 < repeat.stop:
            return [repeat._replace(times=10 - repeat.start), Repeat(10, 1, repeat.stop - 10)]
        return [repeat]

    assert repeats([1] * 30, [1] * 30, None, alike)[0].period == 2
    assert repeats([1] * 11, [1] * 11, None, alike) == [(0, 1, 10)]


def test_two_loops_that_read_the_same_list_are_two_rolls():
    rng = np.random.default_rng(0)
    Wf, Uf, Wb, Ub = (Tensor(rng.normal(size=(3, 3)), name=n) for n in ("Wf", "Uf", "Wb", "Ub"))
    xs = [rng.normal(size=(2, 3)) for _ in range(20)]
    h = g = np.zeros((2, 3))
    for x in xs:
        h = np.tanh(x @ Wf + h @ Uf)
    for x in xs[::-1]:
        g = np.tanh(x @ Wb + g @ Ub)
    text = draw(np.mean((h * g) ** 2), size="screen").source
    assert text.count("× 20") == 2
