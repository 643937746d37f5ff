"""Every layer and loss against PyTorch's, on the inputs of the tests: values and gradients.

python -m tests.benchmarks.nn_against_torch            the largest differences
python -m tests.benchmarks.nn_against_torch --numbers  what the tests compare with
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests import test_nn_layers as layers
from tests import test_nn_losses as losses

Results = dict[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.nn_against_torch")
    parser.add_argument("--numbers", action="store_true", help="print PyTorch's, for the tests")
    options = parser.parse_args(arguments)
    try:
        import torch
    except ModuleNotFoundError:
        raise SystemExit("PyTorch is not installed: pip install -e '.[bench]'") from None

    if options.numbers:
        for cases, theirs in ((layers.CASES, layer), (losses.CASES, loss)):
            print(written({case: theirs(torch, case, np.float64) for case in cases}))
        return
    print(f"PyTorch {torch.__version__}: largest difference from autobp, relative to the largest")
    print("number of each result; values, gradients by inputs and parameters, running statistics")
    print(f"  {'':32} float64  float32")
    for module, theirs in ((layers, layer), (losses, loss)):
        for case in module.CASES:
            both = [
                difference(module.found(case, dtype), theirs(torch, case, dtype))
                for dtype in (np.float64, np.float32)
            ]
            print(f"  {case:32} {both[0]:.1e}  {both[1]:.1e}")


def layer(torch: Any, case: str, dtype: Any) -> Results:
    make = layers.CASES[case][0]
    module = make(torch.nn).to(tensor(torch, np.zeros(1, dtype)).dtype)
    values = layers.values_of(module.state_dict(), dtype)
    module.load_state_dict({k: tensor(torch, v) for k, v in values.items()}, strict=False)
    x = tensor(torch, layers.input_of(case, dtype), True)
    y = module(x)
    (y * tensor(torch, layers.weights_of(tuple(y.shape), dtype))).sum().backward()
    results = {"output": y, "input": x.grad}
    results |= {name: p.grad for name, p in module.named_parameters()}
    results |= {k: b for k, b in module.named_buffers() if "num_batches" not in k}
    return {name: result.detach().numpy() for name, result in results.items()}


def loss(torch: Any, case: str, dtype: Any) -> Results:
    predicted, target = losses.arguments(case, dtype)
    p = tensor(torch, predicted, True)
    y = LOSSES[case](torch.nn.functional, p, tensor(torch, target))
    (y * tensor(torch, losses.weights_of(tuple(y.shape), dtype))).sum().backward()
    return {"loss": y.detach().numpy(), "gradient": p.grad.numpy()}


#: PyTorch's own, for the losses of the tests.
LOSSES = {
    "mse": lambda F, p, t: F.mse_loss(p, t),
    "mse, outputs": lambda F, p, t: F.mse_loss(p, t),
    "mse, half": lambda F, p, t: F.mse_loss(p, t) / 2,
    "mse, sum": lambda F, p, t: F.mse_loss(p, t, reduction="sum"),
    "mse, none": lambda F, p, t: F.mse_loss(p, t, reduction="none"),
    "squared error": lambda F, p, t: F.mse_loss(p, t, reduction="none").sum(1).mean(),
    "squared error, half": lambda F, p, t: F.mse_loss(p, t, reduction="sum") / 2 / len(p),
    "squared error, none": lambda F, p, t: F.mse_loss(p, t, reduction="none").sum((1, 2)),
    "binary_cross_entropy": lambda F, p, t: F.binary_cross_entropy(p, t),
    "binary_cross_entropy, sum": lambda F, p, t: F.binary_cross_entropy(p, t, reduction="sum"),
    "with logits": lambda F, p, t: F.binary_cross_entropy_with_logits(p, t),
    "with logits, none": lambda F, p, t: F.binary_cross_entropy_with_logits(p, t, reduction="none"),
    "cross_entropy": lambda F, p, t: F.cross_entropy(p, t),
    "cross_entropy, sum": lambda F, p, t: F.cross_entropy(p, t, reduction="sum"),
    "cross_entropy, none": lambda F, p, t: F.cross_entropy(p, t, reduction="none"),
    "cross_entropy, probabilities": lambda F, p, t: F.cross_entropy(p, t),
    "cross_entropy, one sample": lambda F, p, t: F.cross_entropy(p, t),
    "cross_entropy, pixels": lambda F, p, t: F.cross_entropy(p, t),
    "nll": lambda F, p, t: F.nll_loss(p, t),
    "hinge": lambda F, p, t: (1 - t * p).clamp(min=0).mean(),
    "huber": lambda F, p, t: F.huber_loss(p, t),
    "huber, delta": lambda F, p, t: F.huber_loss(p, t, delta=0.3, reduction="sum"),
}


def tensor(torch: Any, a: np.ndarray, requires_grad: bool = False) -> Any:
    return torch.tensor(a, requires_grad=requires_grad)


def written(table: dict[str, Results]) -> str:
    """A table as Python source in lines of a bearable length."""
    lines = ["EXPECTED: dict[str, dict[str, list[float]]] = {"]
    for case, results in table.items():
        lines.append(f'    "{case}": {{')
        for name, numbers in results.items():
            text = ", ".join(f"{x:.12g}" for x in numbers.ravel())
            lines += textwrap.wrap(
                f'"{name}": [{text}],', 98, initial_indent=" " * 8, subsequent_indent=" " * 12
            )
        lines.append("    },")
    return "\n".join([*lines, "}"])


def difference(found: Results, expected: Results) -> float:
    assert found.keys() == expected.keys()
    scales = {name: max(float(np.max(np.abs(e))), 1e-15) for name, e in expected.items()}
    return max(float(np.max(np.abs(found[k] - e))) / scales[k] for k, e in expected.items())


if __name__ == "__main__":
    main()
