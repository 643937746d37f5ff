"""Health: the size of values and gradients in each layer, from the input to the loss.

A layer is one run through a scope. Operations outside of scopes are grouped: a repeated piece is a
layer; otherwise a layer begins with each weight and ends before the next operation that is not
elementwise. The results of a layer that are used outside of it are measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autobp.colours import BLACK, BLUE, GREEN, VERMILION
from autobp.dag import Graph
from autobp.drawing.blocks import Box, blocks
from autobp.drawing.diagram import Diagram, diagram
from autobp.drawing.literal import shown
from autobp.drawing.marks import Mark, marks
from autobp.table import aligned

__all__ = ["Health", "Layer", "health", "measured"]

_FAR = 1e4  # the ratio to the last layer's gradient that counts as vanishing or exploding
_MOST = 60  # lines of a table
_NAMES = 24  # names along an axis


class Layer(NamedTuple):
    """The numbers of one layer: root mean squares over all its results together."""

    name: str  # as `expand` of a picture takes it, if it is a scope or a step
    shape: tuple[int, ...]  # of the last result
    value: float
    gradient: float | None  # of the same results; None: not computed
    weights: float | None  # of the leaves that are first used here; None: there are none
    weight_gradient: float | None
    marks: tuple[str, ...]  # NaN, inf, dead, vanishing, exploding
    results: tuple[int, ...]  # their places among the nodes of the diagram


class Health(Sequence[Layer]):
    """A table of layers that can be printed and plotted.

    >>> import numpy as np
    >>> from autobp import Tensor, graph, scope
    >>> h = np.ones((2, 3))
    >>> for k in range(3):
    ...     with scope(f"layer{k}"):
    ...         h = np.tanh(h @ Tensor(np.full((3, 3), 0.1), name="W"))
    >>> graph(np.sum(h)).health()
    layer     shape    value  gradient  weights  gradient of weights
    ────────────────────────────────────────────────────────────────
    layer0   (2, 3)   0.2913   0.08926      0.1               0.1634
    layer1   (2, 3)  0.08717    0.2998      0.1               0.1733
    layer2   (2, 3)  0.02615         1      0.1               0.1742
    t9: sum           0.1569         1
    """

    def __init__(self, layers: Sequence[Layer], notes: Sequence[str] = ()) -> None:
        self.layers: tuple[Layer, ...] = tuple(layers)
        self.notes: tuple[str, ...] = tuple(notes)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: Any) -> Any:
        """A layer by place or by name."""
        if isinstance(i, str):
            found = [layer for layer in self.layers if layer.name == i]
            if not found:
                raise KeyError(f"there is no layer {i!r}; the first is {self.layers[0].name!r}")
            return found[0]
        return self.layers[i]

    def __repr__(self) -> str:
        head = ["layer", "shape", "value", "gradient", "weights", "gradient of weights"]
        if not any(layer.weights is not None for layer in self.layers):
            head = head[:4]
        cells = [_cells(layer)[: len(head)] for layer in self.layers]
        said = ["", "", *(", ".join(layer.marks) for layer in self.layers)]
        lines = aligned([head, *cells], left=1, ruled=1).split("\n")
        wide = max(map(len, lines))
        lines = [f"{line:{wide}}  {mark}" if mark else line for line, mark in zip(lines, said)]
        cut = len(self) - _MOST
        if cut > 0:
            lines[2 + _MOST // 2 : -_MOST // 2] = [f"… {cut:,} more …"]
        return "\n".join([*lines, *self.summary(), *self.notes])

    def summary(self) -> list[str]:
        """A line for each mark, with the layers that have it."""
        found: dict[str, list[str]] = defaultdict(list)
        for layer in self.layers:
            for mark in layer.marks:
                found[_kind(mark)].append(layer.name)
        return [
            f"{kind}: {names[0]}" + (f" … {names[-1]}, {len(names):,} layers" if names[1:] else "")
            for kind, names in found.items()
        ]

    def plot(self, axes: Any = None) -> Any:
        """Plot root mean squares on a logarithmic axis, with the marks, in a new matplotlib figure or
        on the given axes. Save the figure with `.savefig(path)`."""
        from autobp.drawing import plots  # late: only plots need matplotlib

        if axes is None:
            _, axes = plots.figure()
        place = np.arange(len(self))
        series = {
            "value": ([layer.value for layer in self], BLUE, "-", "o"),
            "gradient": ([layer.gradient for layer in self], VERMILION, (0, (5, 1.5)), "s"),
            "gradient of weights": ([r.weight_gradient for r in self], GREEN, "none", "^"),
        }
        for name, (numbers, colour, dashes, marker) in series.items():
            row = np.array(numbers, float)
            if np.isfinite(row).any():
                row[row == 0] = np.nan
                axes.plot(
                    place, row, color=colour, linestyle=dashes, marker=marker, markersize=4,
                    linewidth=1.6, label=name,
                )  # fmt: skip
        axes.set_yscale("log")
        for (kind, places), marker in zip(self._marked().items(), "xP*vXdD"):
            axes.plot(
                places, [0.03] * len(places), marker, color=BLACK, markersize=6, label=kind,
                transform=axes.get_xaxis_transform(), clip_on=False,
            )  # fmt: skip
        step = -(-len(self) // _NAMES)
        names = [shown(layer.name, 20) for layer in self.layers[::step]]
        axes.set_xticks(place[::step], names, rotation=90, fontsize="x-small")
        axes.set_ylabel("root mean square")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False, fontsize="small"
        )
        return axes.figure

    def _marked(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for i, layer in enumerate(self.layers):
            for kind in dict.fromkeys(map(_kind, layer.marks)):
                found[kind].append(i)
        return found


def health(graph: Graph, names: Mapping[str, Any] | None = None) -> Health:
    """See `Graph.health`."""
    found = diagram(graph, names)
    return Health(measured(found), found.notes)


def measured(found: Diagram) -> list[Layer]:
    """The layers of a diagram, in the order of evaluation."""
    users = _users(found)
    groups = [_Group(name, inside) for name, inside in _groups(found)]
    for group in groups:
        there = set(group.inside)
        group.out = [
            i for i in group.inside if found.nodes[i].output or not there.issuperset(users[i])
        ] or group.inside[-1:]
    groups.sort(key=lambda g: (g.out[-1], len(g.inside)))
    kept: list[_Group] = []
    for group in groups:
        if not kept or kept[-1].out != group.out:  # a scope that ends with one inside it
            kept.append(group)
    return _layers(found, kept)


class _Group:
    def __init__(self, name: str, inside: list[int]) -> None:
        self.name, self.inside = name, inside
        self.out: list[int] = []


def _users(found: Diagram) -> list[list[int]]:
    users: list[list[int]] = [[] for _ in found.nodes]
    for use in found.uses:
        users[use.source].append(use.target)
    return users


def _groups(found: Diagram) -> Iterator[tuple[str, list[int]]]:
    """Names and results of the layers, inner scopes before outer ones."""
    tree = blocks(found)
    weighty = {
        n.index for n in found.nodes if n.kind in ("parameter", "input") and np.ndim(n.value) > 1
    }

    def walk(items: Iterable[Box | int]) -> Iterator[tuple[str, list[int]]]:
        loose: list[int] = []
        for item in items:
            if isinstance(item, int):
                loose.append(item)
                continue
            yield from _loose(found, loose, weighty)
            loose = []
            scopes = _has_scopes(item)
            if item.roll or (item.path is None and scopes):
                yield from walk(item.items)
                continue
            if scopes:
                yield from within(item)
            yield item.name, [i for i in item.all_nodes() if found.nodes[i].kind == "result"]
        yield from _loose(found, loose, weighty)

    def within(box: Box) -> Iterator[tuple[str, list[int]]]:
        """The scopes inside a scope, whose own operations belong to that scope."""
        for item in box.items:
            if isinstance(item, Box):
                if item.path is not None:
                    yield from walk([item])
                elif _has_scopes(item):
                    yield from within(item)

    return walk(tree.root.items)


def _has_scopes(box: Box) -> bool:
    stack = [*box.items]
    while stack:
        item = stack.pop()
        if isinstance(item, Box):
            if item.path is not None:
                return True
            stack += item.items
    return False


def _loose(
    found: Diagram, results: Sequence[int], weighty: set[int]
) -> Iterator[tuple[str, list[int]]]:
    """Operations outside of scopes in groups. An elementwise operation joins the group before it."""
    name = ""
    group: list[int] = []
    for i in results:
        node = found.nodes[i]
        assert node.tensor is not None
        assert node.tensor.primitive is not None
        weights = [o for o in node.operands if o in weighty]
        weighty.difference_update(weights)
        grows = (
            group
            and node.tensor.primitive.form == "elementwise"
            and not weights
            and not node.output
        )
        if grows and np.ndim(node.value) and group[-1] in node.operands:
            group.append(i)
            continue
        if group:
            yield name, group
        group = [i]
        name = found.nodes[weights[0]].name if weights else node.name
        if not weights and node.tensor.name is None:
            name = f"{node.name}: {node.operation}"
    if group:
        yield name, group


def _layers(found: Diagram, groups: Sequence[_Group]) -> list[Layer]:
    marked = marks(found)
    first: dict[int, int] = {}  # of each leaf, the layer that uses it first
    of: dict[int, int] = {}  # of each result, the innermost layer
    for k in sorted(range(len(groups)), key=lambda k: -len(groups[k].inside)):
        of.update(dict.fromkeys(groups[k].inside, k))
    for use in found.uses:
        if use.target in of:
            first[use.source] = min(of[use.target], first.get(use.source, len(groups)))
    own: list[list[int]] = [[] for _ in groups]
    for i, k in first.items():
        if found.nodes[i].kind in ("parameter", "input"):
            own[k].append(i)
    layers = []
    again: Counter[str] = Counter()
    for k, (group, leaves) in enumerate(zip(groups, own, strict=True)):
        nodes, weights = [found.nodes[i] for i in group.out], [found.nodes[i] for i in leaves]
        mine = [i for i in group.inside if of[i] == k]
        said = _said(m for i in (*mine, *leaves) for m in marked.get(i, ()))
        again[group.name] += 1
        count = again[group.name]
        layers.append(
            Layer(
                f"{group.name} ({count})" if count > 1 else group.name,
                np.shape(nodes[-1].value),
                _rms([n.value for n in nodes]) or 0.0,
                _rms([n.gradient for n in nodes]),
                _rms([n.value for n in weights]),
                _rms([n.gradient for n in weights]),
                said,
                tuple(group.out),
            )
        )
    return _compared(layers)


def _rms(values: Sequence[Any]) -> float | None:
    """The root mean square of all numbers, without overflow; None if there are none."""
    arrays = [np.ravel(v).astype(float) for v in values if v is not None]
    if not arrays or len(arrays) < len(values):
        return None
    whole = np.concatenate(arrays)
    if not whole.size:
        return None
    with np.errstate(all="ignore"):
        most = float(np.max(np.abs(whole)))
        if not most or not np.isfinite(most):
            return most
        return most * float(np.sqrt(np.mean(np.square(whole / most))))


def _said(found: Iterable[Mark]) -> tuple[str, ...]:
    said: dict[str, None] = {}
    for mark in sorted(found, key=lambda mark: mark.backward):
        if mark.kind == "nonfinite":
            what = "NaN" if "NaN" in mark.text else "inf"
            said[f"{what} in the gradient" if mark.backward else what] = None
        elif mark.kind == "dead":
            said[f"dead: {mark.text.removesuffix(' dead')}"] = None
    return tuple(said)


def _compared(layers: Sequence[Layer]) -> list[Layer]:
    """Mark what is small or large: gradients compared with the last layer with weights, values compared
    with the first layer. Layers whose results are single numbers are left out."""
    wide = [layer for layer in layers if layer.shape] or [*layers]
    weighted = [layer for layer in wide if layer.weights is not None]
    if len(weighted) < 2:  # a recurrence, whose weights are first used in its first step
        weighted = wide
    first, last = (wide[0].value, weighted[-1].gradient) if wide else (0.0, None)
    marked = []
    for layer in layers:
        said = list(layer.marks)
        if layer.gradient == 0:
            said.append("dead: gradient 0")
        elif layer.gradient is not None and last:
            said += _size("", layer.gradient / last)
        if layer.shape and first:
            said += _size("values ", layer.value / first)
        marked.append(layer._replace(marks=tuple(said)))
    return marked


def _size(what: str, ratio: float) -> list[str]:
    if not np.isfinite(ratio) or 1 / _FAR <= ratio <= _FAR:
        return []
    return [f"{what}vanishing" if ratio < 1 else f"{what}exploding"]


def _kind(mark: str) -> str:
    """A mark without its numbers."""
    return mark.partition(":")[0].removesuffix(" in the gradient")


def _cells(layer: Layer) -> list[str]:
    numbers = (layer.value, layer.gradient, layer.weights, layer.weight_gradient)
    shape = str(layer.shape) if layer.shape else ""
    text = ["" if x is None else f"{x:.4g}".replace("nan", "NaN") for x in numbers]
    if layer.gradient is None:
        text[1] = "—"
    return [shown(layer.name, 32), shape, *text]
