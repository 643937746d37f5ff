"""Mutants that no check can tell from the rule, since they compute the same numbers, and why."""

from __future__ import annotations

COMMUTES = "the factors commute"
TIE_FIRST = "a tie has been decided before this comparison counts"
WINNER = "the result is greater (or less) than the loser exactly if the winner is"
ONE_LENGTH = "the arrays have one length along this axis"
LAST_AXIS = "of a vector the axes 1 and −1 of the expanded array are the same"
ANY_DIVISOR = "0 divided by any number is 0"
SIGNS = "a sign is its own reciprocal, and the result has the sign of y"
SHORTCUT = "a shortcut for what is the same"
A_SEQUENCE = "any sequence will do where there is a tuple"

SINGLE = "the digits that count are the same; tests/test_compiler_passes.py sees which dtype it is"

# (why, primitives, mutants)
_ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (COMMUTES, "multiply", ("reverse[0]: t → y, and back", "reverse[1]: t → x, and back")),
    (COMMUTES, "divide power", ("reverse[1]: t → z, and back",)),
    (COMMUTES, "hypot", ("reverse[0]: t → x, and back", "reverse[1]: t → y, and back")),
    (COMMUTES, "square", ("reverse[0]: t → x, and back",)),
    (COMMUTES, "exp exp2", ("reverse[0]: t → y, and back",)),
    ("both lengths of a square matrix are one", "det", ("_cofactors: -1 → 1", "_cofactors: 1 → 2")),
    (
        SIGNS,
        "det",
        (
            "_cofactors: np.linalg.det(a[..., rest[:, None, :, None], rest[None, :, None, :]]) * signs → np.linalg.det(a[..., rest[:, None, :, None], rest[None, :, None, :]]) / signs",
        ),
    ),
    ("both have one dtype", "det", ("_cofactors: a → y (2)",)),
    ("minors are right wherever they are taken", "det", ("_cofactors: y → a (2)",)),
    (
        "only a trace tells the truth from the condition",
        "det",
        ("_cofactors: condition(np.any(numbers(y) == 0)) → np.any(numbers(y) == 0)",),
    ),
    (ANY_DIVISOR, "hypot", ("_nonzero: 1.0 → 2.0",)),
    (ANY_DIVISOR, "norm", ("_unit: 1.0 → 2.0",)),
    ("any size does where the ratio is 0", "norm", ("_unit: 1.0 → 2.0 (2)",)),
    ("0 to any positive power is 0", "power", ("reverse[0]: 1.0 → 2.0",)),
    (
        "a number taken off is a whole multiple already, but for rounding",
        "fmod",
        ("reverse[1]: np.rint((x - z) / y) → (x - z) / y",),
    ),
    (TIE_FIRST, "maximum fmax", ("reverse[0]: x > y → x >= y", "reverse[1]: y > x → y >= x")),
    (TIE_FIRST, "minimum fmin", ("reverse[0]: x < y → x <= y", "reverse[1]: y < x → y <= x")),
    (WINNER, "maximum minimum fmax fmin", ("reverse[0]: x → z (2)", "reverse[1]: y → z (2)")),
    (
        SIGNS,
        "copysign",
        (
            "reverse[0]: t * np.sign(single(x, z)) * np.copysign(1.0, single(y, z))"
            " → t * np.sign(single(x, z)) / np.copysign(1.0, single(y, z))",
            "reverse[0]: z → y, and back",
            "reverse[0]: y → z",
        ),
    ),
    (
        "anything finite times 0 is 0, and the result is 1",
        "power_by",
        ("reverse[0]: t * 0.0 → 0.0", "reverse[0]: t → y (2)", "reverse[0]: t → n (2)"),
    ),
    (SHORTCUT, "power_by", ("_power: x → n (2)",)),
    (
        "of a number alone, which has the form of its product",
        "prod",
        ("_others_recorded: x → y (2)",),
    ),
    (
        "a shortcut for what is the same, where nothing is 0",
        "cumprod",
        (
            "_has_no_zero: not y.size or (not isinstance(y, Variable) and bool(np.all(y)))"
            " → not y.size",
            "_has_no_zero: bool(np.all(y)) → np.all(y)",
        ),
    ),
    (
        SHORTCUT,
        "matmul",
        (
            "_times_vectors: a @ g if a.ndim == 2 else np.squeeze(a @ np.expand_dims(g, -1), -1)"
            " → np.squeeze(a @ np.expand_dims(g, -1), -1)",
        ),
    ),
    (
        SHORTCUT,
        "linear",
        (
            "rows: a if a.ndim == 2 else np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))"
            " → np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))",
        ),
    ),
    (COMMUTES, "erfcx", ("reverse[0]: y → x, and back",)),
    (
        "no diagonal is as small as that and no smaller, and the error is an error still",
        "qr",
        (
            "_divided: diagonal <= noise(diagonal) → diagonal < noise(diagonal)",
            "_divided: np.linalg.LinAlgError('qr: a column is a combination of those before it, so that Q"
            " is not determined and has no derivative; np.linalg.svd and np.linalg.pinv take such"
            " matrices') → 'qr: a column is a combination of those before it, so that Q is not determined"
            " and has no derivative; np.linalg.svd and np.linalg.pinv take such matrices'",
        ),
    ),
    ("a condition is not of numbers and has no tangent", "where", ("reverse[0]: None → same",)),
    (
        "a result is positive exactly if its argument is",
        "relu",
        ("reverse[0]: y → x, and back", "reverse[0]: x → y"),
    ),
    # ── reductions ──
    (A_SEQUENCE, "mean prod", ("axes_of: tuple(range(ndim)) → range(ndim)",)),
    (
        "what goes over all axes is counted without them",
        "mean",
        (
            "_count: len(shape) → shape",
            "axes_of: tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)"
            " → axis if isinstance(axis, tuple) else (axis,)",
            "axes_of: range(ndim) → ndim",
        ),
    ),
    (
        "errors are tested by their text",
        "mean",
        (
            "_count: np.exceptions.AxisError(f'axis {axis} of a number, which has none')"
            " → f'axis {axis} of a number, which has none'",
        ),
    ),
    (A_SEQUENCE, "prod", ("_others_recorded: tuple(range(-len(axes), 0)) → range(-len(axes), 0)",)),
    (
        ONE_LENGTH,
        "cumprod",
        (
            "_scan_forward: x → t (3)",
            "_scan_forward: x → y (3)",
            "_scan_reverse: x → g (3)",
            "_scan_reverse: x → y (3)",
        ),
    ),
    # ── shapes and indices ──
    (
        A_SEQUENCE,
        "transpose",
        (
            "_inverse: tuple(np.argsort([a % len(axes) for a in axes]))"
            " → np.argsort([a % len(axes) for a in axes])",
        ),
    ),
    (
        "adding up where no place is named twice is slower, and the same",
        "scatter",
        ("function: index → x",),
    ),
    (
        "the result has the shape of what was written to",
        "put",
        ("reverse[1]: g → y (2)", "reverse[1]: g → x (2)"),
    ),
    (
        "masks of each example are seen in tests/test_vmap.py",
        "put",
        ("batch: index → run (2)", "batch: index → args (2)", "batch: index → mapped (2)"),
    ),
    # ── linear algebra ──
    (LAST_AXIS, "matmul", ("_right: -1 → 1",)),
    (
        "many cotangents of one matrix are added up; tests/test_kernels.py sees that it has one",
        "matmul",
        ("_right: b → g (2)", "_right: b → a (2)"),
    ),
    ("of a matrix and a vector both are the product", "matmul", ("_right: 1 → 2 (4)",)),
    (LAST_AXIS, "solve", ("_column: -1 → 1",)),
    ("the matrices are square", "cholesky", ("_phi: 1 → 2",)),
    (
        "the result is made symmetric",
        "cholesky",
        ("_cholesky_reverse: transposed(inner) → inner",),
    ),
    (
        "an array and a number are multiplied in either order",
        "attention",
        ("masked_scores: q → scale, and back",),
    ),
    (
        "½ is exact in any precision; tests/test_compiler_source.py sees which it is",
        "maximum minimum fmax fmin",
        (
            *(f"reverse[{k}]: z → {other}" for k in (0, 1) for other in "txy"),
            "_half: single(0.5, z) → 0.5",
            "_half: z → tie",
            "_half: z → wins",
        ),
    ),
    (
        SINGLE,
        "power",
        (
            "reverse[0]: single(1.0, z) → 1.0",
            *(f"reverse[0]: z → {other}" for other in "txy"),
            "reverse[1]: single(x, z) → x",
            *(f"reverse[1]: z → {other} (2)" for other in "txy"),
        ),
    ),
    (
        SINGLE,
        "copysign",
        (
            "reverse[0]: single(y, z) → y",
            "reverse[0]: single(x, z) → x",
            *(f"reverse[0]: z → {other}{n}" for other in "txy" for n in ("", " (2)")),
        ),
    ),
    (
        "all have as many axes and one dtype",
        "max min",
        ("_shared: x → t (2)", "_shared: x → t (3)", "_shared: x → y (3)"),
    ),
    # ── decompositions ──
    (
        "what is called takes the constant values itself",
        "eigh svd",
        ("_reciprocal_gaps: constant(w) → w",),
    ),
    (
        "what is called takes the constant values itself",
        "eigh",
        ("_eigh_forward: constant(inner) → inner", "_eigh_reverse: constant(gv) → gv"),
    ),
    (
        "what is called takes the constant values itself",
        "svd",
        (
            "forward[0]: constant(sides) → sides",
            "reverse[0]: constant(gu) → gu",
            "reverse[0]: constant(gv) → gv",
            "_over: constant(s) → s",
            "_over: constant(x) → x",
        ),
    ),
    (
        "what is called takes the constant values itself",
        "svdvals",
        ("_singular_vectors: constant(y) → y",),
    ),
    ("what is called takes the constant values itself", "qr", ("_divided: constant(r) → r",)),
    (
        "what all examples share may be repeated for each, which takes longer",
        "conv2d conv2d_input conv2d_weight",
        (
            "batch: _are_stacks(args, mapped) → args",
            "batch: 'groups' in geometry and (to, back) != (SAMPLES, SAMPLES) → 'groups' in geometry",
            "batch: 'groups' in geometry and (to, back) != (SAMPLES, SAMPLES)"
            " → (to, back) != (SAMPLES, SAMPLES)",
        ),
    ),
    (
        "examples that are stacks are seen in tests/test_vmap_walk.py",
        "conv2d conv2d_input conv2d_weight",
        ("batch: args → mapped (2)",),
    ),
    ("images and kernels are both folded into the first axis", "conv2d", ("batch: to + 1 → 1",)),
    (SHORTCUT, "pool2d", ("batch: w.shape[2] > 1 → w.shape[2] >= 1", "batch: 2 → 3 (2)")),
    (
        "seen in tests/test_rules_decompositions.py, by cotangents of values or of vectors alone",
        "eigh",
        (
            "_reciprocal_gaps: equal & ~np.eye(w.shape[-1], dtype=bool) & needed → equal & ~np.eye(w.shape[-1], dtype=bool)",
        ),
    ),
    (
        ANY_DIVISOR,
        "eigh",
        ("_reciprocal_gaps: 1.0 → 2.0 (2)",),
    ),
    (
        "arrays that have the same shape",
        "eigh",
        ("_reciprocal_gaps: w → needed (4)",),
    ),
    (
        SHORTCUT,
        "svd",
        (
            "forward[0]: a.shape[-2] > a.shape[-1] → a.shape[-2] >= a.shape[-1]",
            "forward[0]: a.shape[-2] < a.shape[-1] → a.shape[-2] <= a.shape[-1]",
            "reverse[0]: a.shape[-2] > a.shape[-1] → a.shape[-2] >= a.shape[-1]",
            "reverse[0]: a.shape[-2] < a.shape[-1] → a.shape[-2] <= a.shape[-1]",
        ),
    ),
    (
        "arrays that have the same shape",
        "svd",
        (
            "forward[0]: a → t",
            "forward[0]: a → t (2)",
            "forward[0]: a → y (2)",
            "forward[0]: a → t (3)",
            "forward[0]: a → y (3)",
            "forward[0]: a → t (4)",
            "forward[0]: a → t (5)",
            "reverse[0]: a → g (3)",
            "reverse[0]: a → y (3)",
            "reverse[0]: a → g (4)",
            "reverse[0]: a → y (4)",
            "_reciprocal_gaps: w → needed (4)",
        ),
    ),
    (
        "seen in tests/test_rules_decompositions.py, by cotangents of values or of vectors alone",
        "svd",
        (
            "_reciprocal_gaps: equal & ~np.eye(w.shape[-1], dtype=bool) & needed → equal & ~np.eye(w.shape[-1], dtype=bool)",
            "_over: none & (constant(x) != 0) → none",
            "_over: np.linalg.LinAlgError('svd: a singular value of a matrix that is not square is 0, so its vectors are not determined and have no derivative; the values alone (np.linalg.svdvals) have one') → 'svd: a singular value of a matrix that is not square is 0, so its vectors are not determined and have no derivative; the values alone (np.linalg.svdvals) have one'",
            "_over: constant(x) != 0 → constant(x) == 0",
            "_over: 0 → 1",
        ),
    ),
    (
        ANY_DIVISOR,
        "svd",
        (
            "_reciprocal_gaps: 1.0 → 2.0 (2)",
            "_over: 1.0 → 2.0",
            "_reciprocal_sums: 1.0 → 2.0 (2)",
        ),
    ),
    (
        "two zeros are equal values, which are refused if they turn",
        "svd",
        (
            "_reciprocal_sums: 0 → 1",
            "_reciprocal_sums: 0.0 → 1.0",
        ),
    ),
    (
        "the rest of the triangle is rounding, which is cleared away",
        "qr",
        (
            "forward[0]: np.triu((inner - spin) @ r) → (inner - spin) @ r",
            "reverse[0]: np.triu(g[..., a.shape[-2]:, :]) → g[..., a.shape[-2]:, :]",
        ),
    ),
    (
        "arrays that have the same shape",
        "qr",
        (
            "forward[0]: a → t",
            "forward[0]: a → t (2)",
        ),
    ),
    # ── scipy.special ──
    (
        "where x is 0 the result is",
        "xlogy xlog1py",
        ("reverse[0]: z → x, and back", "reverse[0]: x → z"),
    ),
    (ANY_DIVISOR, "xlogy xlog1py", ("_quotient: 1.0 → 2.0",)),
    ("the logarithm is not taken there", "xlogy xlog1py", ("_logarithm: 1.0 → 2.0",)),
    (COMMUTES, "rel_entr", ("reverse[1]: t → x, and back",)),
    (COMMUTES, "gamma", ("reverse[0]: t → y, and back",)),
    ("the result has the sign of x", "i1e", ("reverse[0]: x → y",)),
    # ── convolutions ──
    (COMMUTES, "max_pool2d", ("_seen: offset → dilation, and back",)),
    (
        "the windows of a maximum are not dilated",
        "max_pool2d",
        ("_seen: k * d → k", "_seen: k * d → k (2)"),
    ),
    (
        "with more bits it is counted to the same",
        "max_pool2d",
        (),
    ),
    # ── batching rules ──
    (SHORTCUT, "add", ("batch: len(args) > 1 → len(args) >= 1",)),
    (
        "the samples are of one dtype; tests/test_vmap.py mixes dtypes",
        "add",
        (
            "batch: _as_examples_are(args, mapped) → args",
            "batch: mapped → run",
            "batch: mapped → args",
        ),
    ),
    ("there are as many of them", "add", ("batch: args → mapped (3)",)),
    (
        "addition has no parameters; those of rounding have, whose checks run this rule",
        "add",
        ("batch: len(args) > 1 or params → len(args) > 1",),
    ),
    (
        "the size that is left over is told only for an empty batch, which tests/test_vmap.py has",
        "reshape",
        ("batch: -1 → 1", "batch: 1 → 2", "batch: shape → mapped"),
    ),
    ("any number will do for its shape", "reshape", ("batch: 0 → 1",)),
    (A_SEQUENCE, "transpose", ("batch: tuple(axes) → axes",)),
    ("a shortcut: one factorization for all", "solve", ("batch: m == 2 → m != 2", "batch: 2 → 3")),
    (
        "of shapes that do not fit; tests/test_vmap.py has them",
        "matmul",
        (
            "batch: not m or not n or a.shape[-1] != b.shape[-2 if n > 1 else -1] → not m",
            "batch: not m or not n or a.shape[-1] != b.shape[-2 if n > 1 else -1] → not n",
            "batch: not m or not n or a.shape[-1] != b.shape[-2 if n > 1 else -1]"
            " → a.shape[-1] != b.shape[-2 if n > 1 else -1]",
            "batch: ValueError('the shapes do not fit') → 'the shapes do not fit'",
        ),
    ),
    (
        "a shortcut: one large product",
        "matmul",
        (
            "batch: m == 1 → m != 1",
            "batch: np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1])) → a",
            "batch: m < 3 → m > 3",
            "batch: left * right if left.shape[-1] == 1 else run(left, right) → run(left, right)",
        ),
    ),
    ("there is one more way to the same", "matmul", ("batch: 1 → 2 (4)",)),
    (LAST_AXIS, "matmul", ("batch: -1 → 1 (6)",)),
)

EQUIVALENT: dict[str, dict[str, str]] = {}
for _why, _names, _labels in _ROWS:
    for _name in _names.split():
        EQUIVALENT.setdefault(_name, {}).update(dict.fromkeys(_labels, _why))
