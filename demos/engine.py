"""The engine from nothing, in one file to read top to bottom.

Run it with `python demos/engine.py`. Record once, sweep backwards for gradients or forwards for
tangents. The package has the same parts, in the same order, in the files that the headings name.
"""

import itertools

import numpy as np
from _common import Demo, watched

# ── 1. An operation and its rules: autobp/primitive.py ────────────────────────────────────────────


class Primitive:
    """A function of arrays, with one rule for each argument in either mode. Every rule has the form

        rule(t, out, *args, **params)

    where `t` is the tangent that goes forward or the cotangent that comes back, `out` is the result
    and `args` are the arguments. Rules are NumPy code, so they can run on Tensors too."""

    def __init__(self, function, forward, reverse):
        self.function, self.forward, self.reverse = function, forward, reverse
        NUMPY[function] = self

    def __call__(self, *args, **params):
        """Compute, and record what was computed if an argument is a Tensor. Nested derivatives have
        Tensors within Tensors: the innermost derivative has the highest level and comes off first."""
        level = max((a.level for a in args if isinstance(a, Tensor)), default=None)
        if level is None:
            return self.function(*args, **params)
        values = [a.value if belongs(a, level) else a for a in args]
        return Tensor(self(*values, **params), level, self, args, params)


NUMPY = {}  # NumPy's function -> our primitive, for dispatch (part 3)

# ── 2. The rules, one row an operation: autobp/rules/arithmetic.py and its neighbours ─────────────


def elementwise(function, *rules):
    """A diagonal Jacobian is its own transpose, so one row of rules serves both modes."""
    return Primitive(function, rules, rules)


def spread(t, x, axis):
    """The transpose of a sum: every number that was added receives the cotangent of the sum."""
    ones = np.ones(x.shape)
    return np.reshape(t, np.sum(ones, axis=axis, keepdims=True).shape) * ones


def power_by(x, n):
    return x**n


# fmt: off
add      = elementwise(np.add,      lambda t, z, x, y: t,      lambda t, z, x, y: t)
subtract = elementwise(np.subtract, lambda t, z, x, y: t,      lambda t, z, x, y: -t)
multiply = elementwise(np.multiply, lambda t, z, x, y: t * y,  lambda t, z, x, y: t * x)
divide   = elementwise(np.divide,   lambda t, z, x, y: t / y,  lambda t, z, x, y: -t * z / y)
negative = elementwise(np.negative, lambda t, y, x: -t)
exp      = elementwise(np.exp,      lambda t, y, x: t * y)
log      = elementwise(np.log,      lambda t, y, x: t / x)
sin      = elementwise(np.sin,      lambda t, y, x: t * np.cos(x))
cos      = elementwise(np.cos,      lambda t, y, x: -t * np.sin(x))
tanh     = elementwise(np.tanh,     lambda t, y, x: t * (1 - y * y))
power    = elementwise(power_by,    lambda t, y, x, n: t * n * x ** (n - 1))
matmul   = Primitive(np.matmul,     # of matrices
                     forward=[lambda t, z, x, y: t @ y,    lambda t, z, x, y: x @ t],
                     reverse=[lambda t, z, x, y: t @ y.T,  lambda t, z, x, y: x.T @ t])
total    = Primitive(np.sum,        forward=[lambda t, y, x, axis=None: np.sum(t, axis=axis)],
                                    reverse=[lambda t, y, x, axis=None: spread(t, x, axis)])
reshape  = Primitive(np.reshape,    forward=[lambda t, y, x, shape: np.reshape(t, shape)],
                                    reverse=[lambda t, y, x, shape: np.reshape(t, x.shape)])
flip     = Primitive(np.transpose,  forward=[lambda t, y, x: t.T],
                                    reverse=[lambda t, y, x: t.T])
# fmt: on

# ── 3. A tensor remembers how it was made: autobp/tensor.py, autobp/dispatch.py ───────────────────

clock = itertools.count(1).__next__  # autobp/context.py


class Tensor:
    """A value and a node of the graph. Its edges point to its arguments, and an argument that is
    used twice is there twice. Arguments are born before results."""

    def __init__(self, value, level=0, primitive=None, args=(), params=None):
        self.value = value if isinstance(value, Tensor) else np.asarray(value, float)
        self.level, self.primitive, self.args, self.params = level, primitive, args, params or {}
        self.born = clock()
        self.grad = None

    def __array_ufunc__(self, ufunc, method, *args):
        """NumPy calls this for `np.tanh(tensor)`, and for `array * tensor`."""
        if method != "__call__" or ufunc not in NUMPY:
            raise TypeError(f"np.{ufunc.__name__} has no rule here: add a row to the table")
        return NUMPY[ufunc](*args)

    def __array_function__(self, function, types, args, kwargs):
        """NumPy calls this for `np.sum(tensor, axis=0)` and the like."""
        if function not in NUMPY:
            raise TypeError(f"np.{function.__name__} has no rule here: add a row to the table")
        return NUMPY[function](*args, **kwargs)

    # fmt: off
    shape = property(lambda self: self.value.shape)
    T     = property(lambda self: flip(self))
    __add__      = __radd__ = lambda self, other: add(self, other)
    __mul__      = __rmul__ = lambda self, other: multiply(self, other)
    __sub__      = lambda self, other: subtract(self, other)
    __rsub__     = lambda self, other: subtract(other, self)
    __truediv__  = lambda self, other: divide(self, other)
    __rtruediv__ = lambda self, other: divide(other, self)
    __matmul__   = lambda self, other: matmul(self, other)
    __rmatmul__  = lambda self, other: matmul(other, self)
    __neg__      = lambda self: negative(self)
    __pow__      = lambda self, n: power(self, n=n)
    # fmt: on

    def backward(self):
        """Add the gradient of this number to `.grad` of every leaf behind it."""
        for leaf, g in sweep_backward(self, self.level).items():
            leaf.grad = g if leaf.grad is None else leaf.grad + g


def belongs(a, level):
    """Whether this is a Tensor of that derivative; to it, everything else is a constant."""
    return isinstance(a, Tensor) and a.level == level


# ── 4. The graph, in the order of recording: autobp/dag.py ────────────────────────────────────────


def ancestors(result, level):
    """Everything that the result depends on. Sorting by birth is a topological sort."""
    found, todo = set(), [result]
    while todo:
        node = todo.pop()
        if belongs(node, level) and node not in found:
            found.add(node)
            todo.extend(node.args)
    return sorted(found, key=lambda node: node.born)


def operands(node):
    return [a.value if belongs(a, node.level) else a for a in node.args]


def project(t, shape):
    """Undo broadcasting, which no rule does itself (autobp/calculus.py): sum over the axes that
    were added or stretched. Where a rule left a tangent smaller than its result, widen it."""
    new = len(t.shape) - len(shape)
    stretched = [new + i for i, n in enumerate(shape) if new >= 0 and n == 1 != t.shape[new + i]]
    axes = (*range(new), *stretched)
    if axes:
        return np.reshape(np.sum(t, axis=axes), shape)
    return t if t.shape == shape else t * np.ones(shape)


# ── 5. Reverse mode, from the result to the leaves: autobp/reverse.py ─────────────────────────────


def sweep_backward(result, level):
    cotangents, leaves = {result: np.ones(())}, {}
    for node in reversed(ancestors(result, level)):
        g = cotangents.pop(node)  # complete: all uses of the node come after it
        if node.primitive is None:
            leaves[node] = g
            continue
        for a, rule in zip(node.args, node.primitive.reverse):
            if belongs(a, level):
                c = project(rule(g, node.value, *operands(node), **node.params), a.shape)
                cotangents[a] = cotangents[a] + c if a in cotangents else c
    return leaves


def value_and_grad(function):
    """A function that returns the value of `function` and its gradients, one for each argument."""

    def with_gradients(*args):
        level = clock()
        inputs = [Tensor(x, level) for x in args]
        result = function(*inputs)
        if not belongs(result, level):
            return result, [np.zeros(x.shape) for x in inputs]
        if result.shape != ():
            raise ValueError(f"a gradient needs a scalar; this result has shape {result.shape}")
        found = sweep_backward(result, level)
        return result.value, [found.get(x, np.zeros(x.shape)) for x in inputs]

    return with_gradients


def grad(function):
    """The gradient by the first argument."""
    return lambda *args: value_and_grad(function)(*args)[1][0]


# ── 6. Forward mode, from the arguments to the result: autobp/forward.py ──────────────────────────


def jvp(function, primals, tangents):
    """The value of a function, and its directional derivative along the tangents."""
    level = clock()
    inputs = [Tensor(x, level) for x in primals]
    result = function(*inputs)
    if not belongs(result, level):
        return result, np.zeros(np.shape(result))
    pushed = {x: x.value * 0 + t for x, t in zip(inputs, tangents)}
    for node in ancestors(result, level):
        if node.primitive is not None:
            t = sum(
                rule(pushed[a], node.value, *operands(node), **node.params)
                for a, rule in zip(node.args, node.primitive.forward)
                if belongs(a, level)
            )
            pushed[node] = project(t, node.shape)
    return result.value, pushed[result]


# ── What it can do: a network that learns XOR ─────────────────────────────────────────────────────

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])


def loss(W1, b1, W2, b2):
    output = np.tanh(X @ W1 + b1) @ W2 + b2
    return np.sum((output - Y) ** 2) / len(X)


def main():
    demo = Demo(__doc__, epochs=1000, quick=200)
    rng = np.random.default_rng(demo.seed)
    drawn = [rng.normal(size=shape) for shape in ((2, 8), (8,), (8, 1), (1,))]

    import autobp

    first = value_and_grad(loss)(*drawn)[1]
    theirs = autobp.grad(loss, argnums=(0, 1, 2, 3))(*drawn)
    worst = max(np.max(np.abs(a - b)) for a, b in zip(first, theirs))
    print(f"33 gradients of the loss differ from those of autobp by {worst:.0e} at most.")
    cube = lambda x: x**3
    print(f"d³/dx³ of x³ at 2: {grad(grad(grad(cube)))(2.0):g}, by three reverse sweeps")
    print(f"d²/dx² of x³ at 2: {jvp(grad(cube), [2.0], [1.0])[1]:g}, forward over reverse\n")

    parameters, losses = [Tensor(p) for p in drawn], []
    for _ in watched(demo.epochs, lambda _: f"loss {losses[-1]:.2e}"):
        now = loss(*parameters)
        now.backward()
        losses.append(float(now.value))
        parameters = [Tensor(p.value - 0.1 * p.grad) for p in parameters]

    W1, b1, W2, b2 = (p.value for p in parameters)
    for x, p in zip(X, np.tanh(X @ W1 + b1) @ W2 + b2):
        print(f"  {x[0]:.0f} xor {x[1]:.0f}: {p[0]:6.3f}")
    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure(1, 1)
        plots.curves({"loss": losses}, ax, xlabel="step", ylabel="mean squared error")
        ax.set(yscale="log")
        demo.save(figure, "engine_loss.png")
    demo.done(f"XOR learned by {demo.epochs} steps of reverse mode, loss {losses[-1]:.1e}")


if __name__ == "__main__":
    main()
