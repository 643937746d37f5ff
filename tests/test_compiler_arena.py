"""The arena: buffers that are in use at once do not overlap, and little memory is lost between them."""

import re
from bisect import insort

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import compile
from autobp.compiler.emit import plan
from autobp.compiler.emit.arena import ALIGNED, Range, placed
from autobp.compiler.passes.pipeline import optimized

from .test_compiler_passes import NETWORKS, samples

RANGES = st.builds(
    lambda n, first, length: Range(n, first, first + length),
    st.one_of(st.integers(0, 1000), st.sampled_from([64, 128, 4096])),
    st.integers(0, 40),
    st.one_of(st.integers(0, 3), st.integers(0, 40)),
)


def together(a, b):
    return a.first <= b.last and b.first <= a.last


def largest_first(ranges):
    """The size of an arena in which each buffer, the largest first, has the lowest place that is free:
    in time that grows with the square of their number."""
    laid = []
    for r in sorted(ranges, key=lambda r: -r.nbytes):
        start = 0
        for begin, other in laid:
            end = begin + other.nbytes
            if together(r, other) and begin < start + r.nbytes and start < end:
                start = -(-end // ALIGNED) * ALIGNED
        insort(laid, (start, r))
    return max((start + r.nbytes for start, r in laid), default=0)


def aligned(nbytes):
    return -(-nbytes // ALIGNED) * ALIGNED


@given(st.lists(RANGES, max_size=40))
def test_what_is_in_use_at_once_is_apart(ranges):
    starts, size = placed(ranges)
    ends = [start + r.nbytes for start, r in zip(starts, ranges, strict=True)]
    assert size == max(ends, default=0)
    assert all(start % ALIGNED == 0 for start in starts)
    for i, r in enumerate(ranges):
        for j, other in enumerate(ranges[:i]):
            if together(r, other) and r.nbytes and other.nbytes:
                assert ends[i] <= starts[j] or ends[j] <= starts[i]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=60))
def test_of_buffers_of_one_size_there_are_no_more_than_are_in_use_at_once(spans):
    ranges = [Range(ALIGNED, min(span), max(span)) for span in spans]
    most = max(sum(r.first <= t <= r.last for r in ranges) for t in range(41))
    assert placed(ranges)[1] == most * ALIGNED


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_need_no_more_than_a_search_of_all_places_would(name, monkeypatch):
    seen = []
    monkeypatch.setattr(plan, "placed", lambda ranges: seen.append(ranges) or placed(ranges))
    for program, _ in samples(name):
        plan.planned(optimized(program))
    (ranges,) = seen
    assert placed(ranges)[1] <= 1.05 * largest_first(ranges)


def test_signs_are_not_taken_in_place():
    compiled = compile(lambda x: np.sum(np.cos(np.sign(np.sin(x)))))
    compiled(np.ones(9))
    given, out = re.search(r"np\.sign\((\w+), (\w+)\)", compiled.source).groups()
    assert given != out
