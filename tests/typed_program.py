"""Programs as users write them, with the types that a type checker is to see. `test_types` checks them,
and runs them: what is asserted holds."""

from typing import Any, assert_type, cast

import numpy as np
from numpy.typing import NDArray

from autobp import (
    Tensor,
    compile,
    custom,
    grad,
    graph,
    hessian,
    jvp,
    nn,
    no_grad,
    remat,
    scan,
    scope,
    value_and_grad,
    vmap,
)  # fmt: skip
from autobp.compiler.compiled import Compiled
from autobp.data import batches, moons, split
from autobp.optim import SGD, Adam
from autobp.train import fit

# Operators and methods of a Tensor give Tensors, whatever is on the other side.
x, w = Tensor([1.0, 2.0], name="x"), Tensor([[0.5, -1.0], [1.5, 2.0]])
row = np.ones(2)
assert_type(w @ x, Tensor)
assert_type(w @ row + x * 2 - 1.0, Tensor)
assert_type(-(x**2) / 3 // 1 % 2, Tensor)
assert_type(2.0**x, Tensor)
assert_type(abs(x), Tensor)
assert_type(x[0], Tensor)
assert_type(x.at[0].set(1.0), Tensor)
assert_type(w.T.reshape(4).sum(), Tensor)
assert_type(w.mean(axis=0, keepdims=True), Tensor)
assert_type(x.exp().clip(0.0, 1.0).astype(np.float32), Tensor)
assert_type([t.item() for t in x], list[float])
assert_type(x.shape, tuple[int, ...])
assert_type(x.numpy(), NDArray[Any])
assert_type(x[x > 1], Tensor)

# NumPy's stubs say that its ufuncs, and its arrays' operators, give arrays. Where it matters that they
# give Tensors, begin with a Tensor, write a method, or say so.
loss = np.sum(np.tanh(x @ w) ** 2)
loss.backward()
assert_type(x.tanh(), Tensor)
assert_type(x + np.exp(x), Tensor)
assert_type(cast(Tensor, np.exp(x)), Tensor)
assert_type(cast(Tensor, row @ w), Tensor)


# Derivatives take what is differentiated as numbers, arrays, Tensors or nests of them.
def error(params: dict[str, Any], data: NDArray[Any]) -> Any:
    return np.mean((data @ params["w"] + params["b"]) ** 2)


params = {"w": np.ones(2), "b": 0.0}
data = np.ones((3, 2))
value, gradient = value_and_grad(error)(params, data)
slope: dict[str, Any] = grad(error)(params, data)
hessian(lambda x: np.sum(x**3))(row)
y, dy = jvp(np.tanh, (0.5,), (1.0,))
total, path = scan(lambda carry, x: (carry + x, carry), 0.0, row)
vmap(lambda x: np.sum(x**2))(data)


# `compile` and `remat` give a function of the same type.
def predict(X: NDArray[Any], scale: float = 1.0) -> Tensor:
    return Tensor(X) * scale


fast = compile(predict, check=0)
assert_type(remat(predict)(data), Tensor)
with no_grad():
    assert_type(fast(data, scale=2.0), Tensor)
assert_type(fast.source, str)
half: Compiled[..., Any] = fast
cube = custom(lambda x: x**3, vjp=lambda t, y, x: t * 3 * x**2)
cube(x)


# Models and optimizers.
class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        self.inner = nn.Linear(width, width, rng=0)

    def forward(self, x: Tensor) -> Tensor:
        with scope("residual"):
            return x + self.inner(x)


class Scores(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0) -> tuple[Tensor, float]:
        return x * scale, scale


assert_type(Residual(2)(x), Tensor)  # a call has the types of `forward`
assert_type(Scores()(x, scale=2.0), tuple[Tensor, float])
remat(Residual(2))(x).sum()
model = nn.Sequential(Residual(2), "tanh", nn.Linear(2, 1, rng=0))
assert_type(model(data), Tensor)
assert_type(nn.Linear(2, 3, rng=0)(data), Tensor)
image = Tensor(np.ones((1, 1, 4, 4)))
for layer in (nn.Dropout(0.5, rng=0), nn.ReLU(), nn.Softmax(), nn.LayerNorm(2), nn.BatchNorm1d(2)):
    assert_type(layer(w), Tensor)
assert_type(nn.Dropout(0.5, rng=0)(x), Tensor)
assert_type(nn.ReLU()(nn.LeakyReLU(0.1)(x)), Tensor)
assert_type(nn.LayerNorm(2)(w), Tensor)
assert_type(nn.Activation(np.sin)(x), Tensor)
assert_type(nn.Flatten()(nn.MaxPool2d(2)(image)), Tensor)
assert_type(nn.AvgPool2d(2)(nn.AdaptiveAvgPool2d(2)(image)), Tensor)
assert_type(nn.MLP([2, 3, 1], rng=0)(data).mean(), Tensor)
optimizer = SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    nn.mse(model(data), np.ones((3, 1))).backward()
    optimizer.step()
with no_grad():
    for p in model.parameters():
        assert_type(p, Tensor)
        p -= 0.01 * p.grad
points, held_out = split(*moons(40))
assert_type(held_out, tuple[Any, Any])
assert_type(split(data, data, data), tuple[tuple[Any, ...], tuple[Any, ...]])
for X, labels in batches(*points, size=16, shuffle=True, rng=0):
    nn.cross_entropy(nn.Linear(2, 2)(X), labels).backward()
history = fit(model, (data, np.ones((3, 1))), nn.mse, Adam(model.parameters(), lr=0.1), 1, rng=0)
print(graph(loss), history.rows)
