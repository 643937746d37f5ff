"""Errors say what happened, to which tensors, and what to do."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.special

from autobp import NoRuleError, Tensor, compile, custom, grad, hvp, nn, softmax

x = Tensor(np.ones((3, 4)), name="x")
w = Tensor(np.ones((5, 2)), name="w")
unnamed = Tensor(np.ones(7))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: x @ w, "matmul: 'x' of shape (3, 4) and 'w' of shape (5, 2) do not fit: 4 (axis 1 of the first) is not 5 (axis 0 of the second)"),
        (lambda: np.dot(x, unnamed), "matmul: 'x' of shape (3, 4) and a Tensor of shape (7,) do not fit: 4 (axis 1 of the first) is not 7 (axis 0 of the second)"),
        (lambda: x @ 2.0, "matmul: 'x' of shape (3, 4) and a number of shape () do not fit: a product of matrices takes no numbers"),
        (lambda: x @ np.ones((2, 4, 1)) @ np.ones((5, 1, 1)), "matmul: a Tensor of shape (2, 3, 1) from matmul and an array of shape (5, 1, 1) do not fit: 2 and 5 on axis -1"),
        (lambda: x + w, "add: 'x' of shape (3, 4) and 'w' of shape (5, 2) do not fit: 2 and 4 on axis -1 (sizes must agree or be 1)"),
        (lambda: x * np.ones(3), "multiply: 'x' of shape (3, 4) and an array of shape (3,) do not fit: 3 and 4 on axis -1"),
        (lambda: np.where(np.ones(2, bool), x, 0.0), "where: an array of shape (2,) and 'x' of shape (3, 4) and a number of shape () do not fit: 2 and 4 on axis -1"),
        (lambda: x.reshape(5, 5), "reshape: 'x' of shape (3, 4), shape=(5, 5): cannot reshape"),
        (lambda: np.concatenate([x] * 2000 + [w]), "concatenate: 'x' of shape (3, 4) and 'x' of shape (3, 4) and 'x' of shape (3, 4) and 'x' of shape (3, 4) and 'x' of shape (3, 4) and 'x' of shape (3, 4) and 1995 more, axis=0: all the input array dimensions except for the concatenation axis must match exactly, but along dimension 1, the array at index 0 has size 4 and the array at index 2000"),
        (lambda: np.concatenate([x, w]), "concatenate: 'x' of shape (3, 4) and 'w' of shape (5, 2), axis=0:"),
        (lambda: np.stack([x, w]), "stack: all shapes must be the same, got [(3, 4), (5, 2)]"),
        (lambda: np.broadcast_to(x, (2, 4)), "broadcast_to: 'x' of shape (3, 4), shape=(2, 4)"),
        (lambda: np.einsum("ij,jk", x, w), "einsum: 'x' of shape (3, 4) and 'w' of shape (5, 2)"),
        (lambda: np.split(x, 2), "split: axis 0 of length 3 does not divide into 2 equal parts"),
        (lambda: np.dsplit(x, 2), "dsplit takes 3 dimensions or more, not 2"),
        (lambda: np.tensordot(x, w), "tensordot: shapes (3, 4) and (5, 2) do not fit"),
        (lambda: grad(lambda a: np.sum(a @ w))(np.ones((3, 4))), "matmul: an array of shape (3, 4) and 'w' of shape (5, 2) do not fit"),
    ],
)  # fmt: skip
def test_shape_errors(call, text):
    with pytest.raises(ValueError) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize("mean", [np.mean, np.var, np.std])
def test_means_of_a_number_have_no_axis(mean):
    with pytest.raises(np.exceptions.AxisError, match="axis 0 of a number, which has none"):
        mean(Tensor(2.0), axis=0)


def test_errors_of_numpys_own_kinds_stay_what_they_are():
    with pytest.raises(np.exceptions.AxisError):
        np.sum(x, axis=2)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        np.linalg.inv(Tensor(np.zeros((2, 2))))
    with pytest.raises(IndexError):
        x[5]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: np.fft.fft(x), "np.fft.fft has no rule of differentiation; pass t.numpy()"),
        (lambda: np.linalg.eig(x), "np.linalg.eig has no rule of differentiation; use np.linalg.eigh, for symmetric matrices;"),
        (lambda: np.polymul(unnamed, unnamed), "np.polymul has no rule of differentiation; use np.convolve(p, q);"),
        (lambda: np.polyfit(unnamed, unnamed, 1, full=True), "np.polyfit(full=…) has no rule of differentiation; call it without full"),
        (lambda: np.frexp(x), "np.frexp has no rule of differentiation"),
        (lambda: np.add.at(x, 0, 1), "np.add.at has no rule of differentiation; use t.at[i].add(v);"),
        (lambda: np.divide.reduce(x), "np.divide.reduce has no rule"),
        (lambda: np.sum(x, dtype=np.float32), "np.sum(dtype=…) has no rule of differentiation; call it without dtype"),
        (lambda: np.sum(x, 0, np.float32), "np.sum(dtype=…) has no rule"),
        (lambda: np.nansum(x, where=[True]), "np.nansum(where=…) has no rule"),
        (lambda: np.exp(x, out=np.ones((3, 4))), "np.exp(out=…) has no rule of differentiation: a Tensor is not written into an array"),
        (lambda: np.fft.ifft(x), "or give it a rule with autobp.custom"),
        (lambda: x.astype(int), "astype(int64) would cut 'x' off from its derivative; if you mean that, use .numpy().astype(int64)"),
        (lambda: x[x], "a Tensor holds floating-point numbers and cannot be an index"),
    ],
)  # fmt: skip
def test_what_has_no_rule_says_what_to_do(call, text):
    with pytest.raises(TypeError) as caught:
        call()
    assert text in str(caught.value)


def test_no_rule_errors_are_a_kind_of_their_own():
    with pytest.raises(NoRuleError):
        np.fft.fft(x)


# fmt: off
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: compile(np.sin, donate=("x",)), "compile: donate must be positions of arguments, not ('x',)"),
        (lambda: compile(np.sin, reuse="x"), "compile: reuse must be True or False, not 'x'"),
        (lambda: grad(np.sin, argnums="x"), "argnums must be the position of an argument, or several, not 'x'"),
        (lambda: custom(3, vjp=lambda t, y, x: t), "custom() takes a function, not int"),
        (lambda: custom(np.sin, vjp=lambda t, y, x: t, freshh=True), "custom(): there is no fact 'freshh'; there are static, fresh, moves, cost"),
        (lambda: custom(np.sin, vjp=lambda t, y, x: t, static="yes"), "custom(): static must be True or False, or a function of the arguments, not 'yes'"),
        (lambda: custom(np.sin, vjp=lambda t, y, x: t, cost=3), "custom(): cost must be a function of the shapes"),
        (lambda: nn.MLP([2, 1], activation="tahn"), "'tahn'"),
        (lambda: hvp(lambda v: np.sum(v**3), (np.ones(2),), (np.ones(3),)), "hvp: tangents[0] has shape (3,)"),
        (lambda: np.max(x, where=[True]), "of the elements that where= chooses, which may be none, need initial="),
        (lambda: np.sum(x, where=np.ones((2, 3, 4), bool)), "where has shape (2, 3, 4), and the elements have (3, 4)"),
        (lambda: np.nanmin(x, axis=0, initial=9.0, where=np.ones((3, 4), bool)), "np.nanmin(initial=…, where=…) has no rule of differentiation; call it without initial and where, or"),
        (lambda: np.linalg.eig(x), "or give it a rule with autobp.custom"),
        (lambda: compile(lambda v: np.sum(np.add.reduceat(v, [0, 2])))(np.ones(5)), "np.add.reduceat is called; use another function"),
    ],
)
def test_arguments_of_functions_are_checked_at_once(call, text):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert text in str(error.value)
    assert "custom_rules" not in str(error.value)
# fmt: on


V, S = Tensor([1.0, 2.0]), Tensor([[2.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: np.sum([V, V]), "of a list of Tensors make one, as in np.sum(np.stack(list)), or .numpy() if a"),
        (lambda: np.append([V, V], 3.0), "as in np.append(np.stack(list))"),
        (lambda: np.linalg.norm([V, V]), "as in np.linalg.norm(np.stack(list))"),
        (lambda: np.linalg.det([V, V]), "as in np.linalg.det(np.stack(list))"),
        (lambda: np.cumsum([V[0], V[1]]), "as in np.cumsum(np.stack(list))"),
        (lambda: np.dot([V, V], V), "np.stack, not np.array"),
        (lambda: np.exp([V, V]), "np.stack, not np.array"),
        (lambda: np.vectorize(abs)(V), "np.stack, not np.array"),
        (lambda: np.ndenumerate(V), "np.stack, not np.array"),
        (lambda: np.testing.assert_array_equal(V, 1.0), "np.stack, not np.array"),
        (lambda: np.full(3, V[0]), "write value * np.ones(shape) instead of np.full(shape, value)"),
        (lambda: np.full_like(np.ones(2), V), "for np.full_like v * np.ones(shape)"),
        (lambda: np.c_[V, V], "write np.stack(list, axis=1) instead of np.c_"),
        (lambda: scipy.special.logsumexp(V), "write autobp.logsumexp, which takes Tensors"),
        (lambda: scipy.special.softmax(V), "write autobp.softmax, which takes Tensors"),
        (lambda: scipy.special.polygamma(1, V), "write autobp.polygamma, which takes Tensors"),
        (lambda: scipy.linalg.solve_triangular(S, V), "write autobp.solve_triangular, which takes Tensors"),
        (lambda: scipy.linalg.solve(S, V), "write np.linalg.solve, which takes Tensors"),
        (lambda: scipy.linalg.expm(S), "this function of SciPy has no rule of differentiation: give it one with autobp.custom"),
        (lambda: scipy.sparse.csr_array(np.eye(2)) @ V, "write S.toarray() @ t for a sparse matrix S"),
        (lambda: V @ scipy.sparse.csr_array(np.eye(2)), "; write S.toarray() for a sparse matrix S"),
    ],
    ids=range(21),
)  # fmt: skip
def test_what_asks_for_an_array_has_a_way_out_of_its_own(call, text):
    with pytest.raises(TypeError) as caught:
        call()
    assert text in str(caught.value)


def test_lists_of_tensors_are_arguments_of_our_functions():
    """NumPy's, without a Tensor beside the list, never ask."""
    f = lambda v: np.sum(softmax([v[0], [v[1], 2.0][0]]) * [1.0, 3.0])
    g = lambda v: np.sum(softmax(np.stack([v[0], v[1]])) * [1.0, 3.0])
    at = np.array([0.5, 1.5])
    np.testing.assert_array_equal(grad(f)(at), grad(g)(at))
    np.testing.assert_array_equal(compile(grad(f))(at), grad(g)(at))
    nested = lambda v: nn.mse([[v[0], 1.0], [2.0, v[1]]], np.zeros((2, 2)))
    np.testing.assert_array_equal(grad(nested)(at), at / 2)
    np.testing.assert_array_equal(softmax([0.0, 0.0]), [0.5, 0.5])


def test_a_sparse_product_gets_a_rule():
    sparse = scipy.sparse.csr_array([[1.0, 0.0], [2.0, 3.0]])
    product = custom(lambda t: sparse @ t, vjp=lambda g, y, t: sparse.T @ g)
    np.testing.assert_array_equal(grad(lambda t: np.sum(product(t)))(np.ones(2)), [3.0, 3.0])
    np.testing.assert_array_equal((sparse.toarray() @ V).numpy(), [1.0, 8.0])
