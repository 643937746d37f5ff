"""What goes wrong, said so that the next step is clear: the operation, the tensors, the way out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FrameType, FunctionType
from typing import Any

import numpy as np

from autobp.context import user_line

__all__ = [
    "NoRuleError",
    "argument_changed",
    "changed_in_model",
    "explained",
    "label",
    "no_batching",
    "no_rule",
    "not_in_place",
    "not_into_table",
    "not_plain",
    "not_written",
    "one_by_one",
    "ragged",
    "replaced",
    "shape_changed",
    "written_name",
]


class NoRuleError(TypeError):
    """A NumPy function that autobp does not know how to differentiate was given a Tensor."""


def label(a: Any) -> str:
    """How a message speaks of an argument: by its name if it has one."""
    if getattr(a, "name", None) is not None:
        return f"{a.name!r}"
    shape = np.shape(a)
    is_tensor = hasattr(a, "primitive") and not a.is_batch
    kind = "a Tensor" if is_tensor else "an array" if shape else "a number"
    origin = f" from {a.primitive.name}" if getattr(a, "primitive", None) is not None else ""
    return f"{kind} of shape {shape}{origin}" if shape else f"{kind}{origin}"


def leaked(a: Any) -> TypeError:
    """A variable of an inner derivative, or a batch, that has ended before what it is used in."""
    return TypeError(
        f"{label(a)} depends on a variable of a derivative or a vmap within this function, which has ended:"
        " such a variable was kept in an outer place and is used after it. Return it from the inner function"
        " instead, as with has_aux=True"
    )


#: What to write instead, for the functions most likely to be met.
_INSTEAD = {
    "asarray": "the Tensor itself, or t.numpy() for its value as a constant",
    "array": "np.stack of the tensors, or t.numpy() for the value as a constant",
    "fill_diagonal": "t * (1 - np.eye(n)) + value * np.eye(n)",
    "add.at": "t.at[i].add(v)",
    "put": "t.at[i].set(v)",
    "put_along_axis": "t.at[i].set(v)",
    "place": "np.where",
    "copyto": "t.at[...].set(v), or for np.full_like v * np.ones(shape)",
    "eig": "np.linalg.eigh, for symmetric matrices",
    "eigvals": "np.linalg.eigvalsh, for symmetric matrices",
    "polymul": "np.convolve(p, q)",
}


def no_rule(
    function: Any, kwargs: Mapping[str, Any] | None = None, method: str = ""
) -> NoRuleError:
    name = getattr(function, "__name__", repr(function)).lstrip("_")
    call = written_name(function) + (f".{method}" if method else "")
    if kwargs:
        options = ", ".join(f"{k}=…" for k in kwargs)
        if "out" in kwargs:
            return NoRuleError(
                f"{call}(out=…) has no rule of differentiation: a Tensor is not written into an array;"
                " leave out= away, and for a += t write a = a + t"
            )
        return NoRuleError(
            f"{call}({options}) has no rule of differentiation; call it without {' and '.join(kwargs)},"
            " or pass t.numpy() if the result is to be a constant"
        )
    found = _INSTEAD.get(f"{name}.{method}" if method else name)
    instead = f" use {found};" if found else ""
    return NoRuleError(
        f"{call} has no rule of differentiation;{instead} pass t.numpy() if the result is to be a"
        " constant, or give it a rule with autobp.custom"
    )


def written_name(function: Any) -> str:
    """A function as programs write it: np.linalg.norm."""
    return f"{_package(function)}.{getattr(function, '__name__', repr(function)).lstrip('_')}"


def _package(function: Any) -> str:
    """Where a function is found. Before NumPy 2.2 its ufuncs did not say, and SciPy's do not."""
    if isinstance(function, np.ufunc) and not hasattr(np, function.__name__):
        return "scipy.special"
    package, *inside = (getattr(function, "__module__", "") or "numpy").split(".")
    return ".".join(["np" if package == "numpy" else package, *inside])


def not_plain(tensor: Any, what: str, way_out: str) -> TypeError:
    return TypeError(
        f"{label(tensor)} is recorded and cannot silently become {what}, which has no derivative;"
        f" {_instead_of(_library_calls())}, or {way_out} if a constant is meant"
    )


#: What SciPy's functions of arrays are here. Its ufuncs take Tensors.
_SCIPYS = {
    **{name: f"autobp.{name}" for name in ("logsumexp", "softmax", "log_softmax", "polygamma")},
    **{name: f"autobp.{name}" for name in ("solve_triangular", "cho_solve")},
    **{
        name: f"np.linalg.{name}"
        for name in ("solve", "inv", "det", "norm", "eigh", "eigvalsh", "svd")
    },
    **{name: f"np.linalg.{name}" for name in ("svdvals", "qr", "cholesky", "pinv", "lstsq")},
    **{name: f"np.{name}" for name in ("convolve", "correlate")},
}


def _library_calls() -> list[tuple[str, str]]:
    """The functions of other libraries, by module and name, that ask for an array: the last is the one
    that the user called."""
    calls = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package in ("numpy", "scipy", "pandas", "xarray"):
            inside = [v for v in frame.f_locals.values() if isinstance(v, FunctionType)]
            is_decorator = frame.f_code.co_name == "wrapper" and inside
            calls.append((module, inside[0].__name__ if is_decorator else frame.f_code.co_name))
        elif package != "autobp":
            break
        else:  # which asked for what has been found so far
            calls.clear()
        frame = frame.f_back
    return calls


def _instead_of(calls: list[tuple[str, str]]) -> str:
    """What to write instead of a call in which an array is asked for."""
    for package, write in (
        ("pandas", "write df.to_numpy() for what is in a table, as in df.to_numpy() @ t"),
        ("xarray", "write a.data for the Tensor in a DataArray, as in np.sum(a.data)"),
        (
            "numpy.ma",
            "write m.filled(value), or m.compressed() for what is not masked, of a masked array",
        ),
        (
            "scipy.sparse",
            "write S.toarray() @ t for a sparse matrix S, or give S @ t a rule with autobp.custom",
        ),
    ):
        if any(f"{module}.".startswith(f"{package}.") for module, _ in calls):
            return write
    if calls and calls[-1][0].startswith("scipy"):
        names = [name.lstrip("_") for _, name in calls]
        known = [_SCIPYS[name] for name in names if name in _SCIPYS]
        return (
            f"write {known[-1]}, which takes Tensors"
            if known
            else "this function of SciPy has no rule of differentiation: give it one with autobp.custom"
        )
    module, name = calls[-1] if calls else ("", "")
    if "index_tricks" in module and name == "__getitem__":
        return "write np.stack(list, axis=1) instead of np.c_, and np.concatenate(list) instead of np.r_"
    if name[:2] == "__" or not hasattr(
        np.linalg if ".linalg" in module else np, name
    ):  # np.vectorize, np.testing
        return "use NumPy's functions (np.sin, not math.sin; np.stack, not np.array)"
    if name == "full":
        return "write value * np.ones(shape) instead of np.full(shape, value)"
    called = f"np.linalg.{name}" if ".linalg" in module else f"np.{name}"
    return f"of a list of Tensors make one, as in {called}(np.stack(list))"


def not_into_table(sign: str) -> TypeError:
    return TypeError(
        f"df {sign} t would make a Tensor of a table of pandas: write t = df {sign.rstrip('=')} t for"
        f" the Tensor, or df {sign} t.numpy() if a constant is meant"
    )


def not_written(tensor: Any, way_out: str) -> TypeError:
    return TypeError(
        f"{label(tensor)} is recorded and cannot be written into an array, which has no derivative:"
        " collect the Tensors in a list and write np.stack(list), or make the array a Tensor and write z ="
        f" z.at[i].set(t); or write {way_out} if a constant is meant"
    )


def no_batching(name: str) -> NoRuleError:
    return NoRuleError(
        f"vmap: {name} has no batching rule, so it is not done for a whole batch at once; use another"
        " function, or give one of your own a rule with autobp.custom(..., batch=rule)"
    )


def one_by_one(batch: Any, what: str, by: str, way_out: str) -> TypeError:
    """The error where a single value is asked for that stands for all those of a batch."""
    return TypeError(
        f"vmap: {what} of {label(batch)} was asked for at {user_line()}, {by}. It stands for the"
        f" examples of a batch, and each has its own: {way_out}"
    )


def ragged(what: str, way_out: str) -> TypeError:
    return TypeError(
        f"vmap: {what} of a batch gives as many results as the values of each example ask for, and these"
        f" have no common shape: use {way_out}"
    )


def not_in_place(tensor: Any) -> TypeError:
    return TypeError(
        f"{label(tensor)} cannot be changed in place: use t = t.at[i].set(v) or t = t.at[i].add(v),"
        " which give a new Tensor (or t.data[i] = v for a parameter that nothing was computed from)"
    )


def changed_by_batch(a: Any, sign: str) -> TypeError:
    """`p -= step` within vmap, where each example has a step of its own."""
    return TypeError(
        f"vmap: {label(a)} {sign}= a batch of examples, which would change it for each example: return what"
        " it is to be changed by, and change it after the vmap"
    )


def changed_in_model(tensor: Any, sign: str) -> RuntimeError:
    return RuntimeError(
        f"{sign}= would change {label(tensor)} in place, since nothing is recorded while the model is"
        f" evaluated under no_grad(): write h = h {sign} x, which gives a new Tensor (or open"
        " no_grad() around an update that is meant)"
    )


def argument_changed(tensor: Any, sign: str) -> RuntimeError:
    return RuntimeError(
        f"{sign}= under no_grad() would make a constant of {label(tensor)}, by which a derivative is being"
        f" taken: write w = w {sign} x outside of no_grad(), or, where a constant is meant,"
        f" stop_gradient(w) {sign} x"
    )


def shape_changed(tensor: Any, sign: str, shape: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{sign}= under no_grad() updates {label(tensor)} in place, and it cannot take a result of shape"
        f" {shape}: its shape is {tensor.shape}; write t = t {sign} x for a new Tensor"
    )


def replaced(a: Any) -> RuntimeError:
    return RuntimeError(
        f"the data of {label(a)} was replaced after a result was computed from it (or its"
        " requires_grad was), so the derivative of that result can no longer be taken; compute the"
        " result again, or if it comes from an earlier step, as the state of a recurrence does, detach() it"
    )


def changed(node: Any) -> RuntimeError:
    places = f", at {node.line}," if node.line else ""
    given = " and ".join(label(a) for a in node.args)
    return RuntimeError(
        f"{node.primitive.name}{places} was given {given}; one of these, or the result, was changed in"
        " place between the operation and the backward pass, so its derivative would be wrong: write a new"
        " array each time, as buffer = X[k].copy(), or record after the change"
    )


def explained(
    error: ValueError, primitive: Any, args: Sequence[Any], params: Mapping[str, Any]
) -> ValueError:
    """A shape error in full: the operation, each argument with its shape, and what disagrees."""
    listed = [*map(_described, args[:6])]
    listed += [f"{len(args) - 6} more"] if len(args) > 6 else []
    said = f"{primitive.name}: {' and '.join(listed)}"
    shapes = [np.shape(a) for a in args]
    product = primitive.facts.sign == "@"
    clash = _matmul_clash(shapes) if product else None
    if clash is None and not params and len(shapes) > 1:
        clash = _broadcast_clash([s[:-2] for s in shapes] if product else shapes)
    if clash is None:
        given = "".join(f", {k}={v!r}" for k, v in params.items())
        return ValueError(f"{said}{given}: {error}")
    return ValueError(f"{said} do not fit: {clash}")


def _described(a: Any) -> str:
    shape = np.shape(a)
    if getattr(a, "name", None) is not None:
        return f"{a.name!r} of shape {shape}"
    return label(a) if shape else f"{label(a)} of shape ()"


def _matmul_clash(shapes: Sequence[tuple[int, ...]]) -> str | None:
    a, b = shapes
    if not a or not b:
        return "a product of matrices takes no numbers without dimensions; use * for those"
    i, j = len(a) - 1, max(len(b) - 2, 0)
    if a[i] != b[j]:
        return f"{a[i]} (axis {i} of the first) is not {b[j]} (axis {j} of the second)"
    return None


def _broadcast_clash(shapes: Sequence[tuple[int, ...]]) -> str | None:
    ndim = max(map(len, shapes))
    for axis in range(-1, -ndim - 1, -1):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            return (
                f"{' and '.join(map(str, sorted(sizes)))} on axis {axis} (sizes must agree or be 1)"
            )
    return None
