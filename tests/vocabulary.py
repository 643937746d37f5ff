"""The vocabulary of random programs: values and the places where they are found, questions, refusals
that are swallowed, effects, arguments, numbers, arrays, models, each with how it changes.

All of it is text of the programs. A `K` at the end of a name is the number of the part that it is in,
so that `RATEK` is `RATE3`; single letters stand for other texts: `E` is where a value is found, `V` the
value, `W` what it becomes, `Q` what is asked about, `A` what is asked, `N` a number.
"""

# fmt: off
# ruff: noqa: C408

# ── values: what is found, what it becomes, how it is used ────────────────────────────────────────
# name: (setup, before, after, uses, changes in place). `E` is where it is found, `K` a number.

VALUES = {
    "float": ("", "2.0", "3.0", ["y = y * E", "y = y / (1.0 + E)", "y = y ** E"], []),
    "float or int": ("", "2.0", "3", ["y = y * E"], []),
    "float or array": ("", "2.0", "np.array([1.0, 2.0, 4.0])", ["y = y * E"], []),
    "sign of zero": ("", "0.0", "-0.0", ["y = y + 1.0 / np.float64(E)", "y = np.copysign(y, E)"], []),
    "int": (
        "",
        "2",
        "3",
        [
            "y = y * E",
            "y = y ** E",
            "for _ in range(E): y = np.sin(y) + y",
            "y = y + [1.0, 2.0, 4.0, 8.0][E]",
            "y = y * np.ones((E, 1)).sum()",
            "y = np.sum(np.tile(y, E)) + y",
            "y = np.roll(y, E)",
        ],
        [],
    ),
    "int or True": ("", "1", "True", ["y = y * (2.0 if E is True else 3.0)"], []),
    "bool": ("", "True", "False", ["y = y + 1.0 if E else y * 2.0", "if E: y = -y", "y = y * (not E) + y"], []),
    "none": ("", "None", "2.0", ["y = y * 0.5 if E is None else y * E"], []),
    "text": (
        "",
        '"sin"',
        '"cos"',
        ['y = getattr(np, E)(y)', 'y = {"sin": np.sin, "cos": np.cos}[E](y)', 'if E == "sin": y = -y'],
        [],
    ),
    "bytes": ("", 'b"ab"', 'b"abc"', ["y = y * len(E)"], []),
    "tuple": ("", "(1.0, 2.0)", "(3.0, 4.0)", ["y = y * E[0] + E[1]", "y = y * sum(E)"], []),
    "tuple of another length": ("", "(1.0, 2.0)", "(3.0,)", ["y = y * len(E)"], []),
    "list": (
        "",
        "[1.0, 2.0]",
        "[3.0, 5.0]",
        [
            "y = y * E[0]",
            "y = y * sum(E)",
            "for c in E: y = y * c + 1.0",
            "y = y * E[-1] + len(E)",
            "y = y * sum(E[1:]) + E.count(2.0)",
            "y = y * sum(c for c in E if c > 1.5)",
            "y = y * np.array(E).sum()",
            "first, *rest = E; y = y * first + sum(rest)",
            "y = y * max(map(abs, E))",
            "for i, c in enumerate(E): y = y * c + i",
            "y = y * next(iter(E))",
            "y = y * [*E, 1.0][0]",
            "y = y * functools.reduce(operator.mul, E)",
            "y = y * (2.0 if E == [1.0, 2.0] else 3.0)",
            "y = y * sorted(E)[-1]",
            "y = y * copy.deepcopy(E)[0]",
            "y = y * operator.itemgetter(0)(E)",
            "y = y * E.__getitem__(0)",
            "match E:\n    case [first, *_]: y = y * first\n    case _: y = y * 9.0",
        ],
        ["E[0] = 9.0", "E[:] = [7.0, 8.0]", "E.reverse()", "E.insert(0, 4.0); E.append(5.0)", "E.clear(); E.append(6.0)"],
    ),
    "nested list": (
        "",
        "[[1.0, [2.0]], {'a': [3.0]}]",
        "[[1.0, [5.0]], {'a': [6.0]}]",
        ["y = y * E[0][1][0] + E[1]['a'][0]"],
        ["E[0][1][0] = 7.0", "E[1]['a'] = [9.0]", "E[0][1] = [4.0]"],
    ),
    "large list": (
        "",
        "[float(i % 7) for i in range(1500)]",
        "[float(i % 5) for i in range(1500)]",
        ["y = y * E[1234]", "y = y + sum(E) / 1500", "y = y + sum(np.asarray(E)) / 1500"],
        ["E[1234] = 77.0", "E.append(1e3); E[1234] = 5.5", "E.reverse()"],
    ),
    "large dict": (
        "",
        "{i: float(i % 7) for i in range(1500)}",
        "{i: float(i % 5) for i in range(1500)}",
        ["y = y * E[1234]", "y = y + E.get(1234, 0.5)", "y = y + sum(E.values()) / 1500"],
        ["E[1234] = 77.0", "E.update({1234: 9.5})"],
    ),
    "nested large list": (
        "",
        "[[float(i + j) for j in range(50)] for i in range(40)]",
        "[[float(i - j) for j in range(50)] for i in range(40)]",
        ["y = y * E[30][40]", "y = y + np.sum(np.array(E)) / 2000"],
        ["E[30][40] = 123.0"],
    ),
    "dict": (
        "",
        '{"a": 1.0, "b": 2.0}',
        '{"a": 4.0, "b": 5.0}',
        [
            'y = y * E["a"] + E["b"]',
            "y = y + sum(E.values())",
            'y = y + E.get("a", 7.0) + E.get("c", 0.5)',
            "for c in E.values(): y = y * c + 1.0",
            "for c in E: y = y * E[c] + 1.0",
            'y = y + (1.0 if "c" in E else 2.0) * E.get("a", 3.0) + len(E)',
            "for key, c in E.items(): y = y * c + len(key)",
            "y = (lambda a=0.0, b=0.0, **rest: y * a + b + len(rest))(**E)",
            "y = y * dict(E, b=1.0).get('a', 2.0)",
            "y = y * (E | {}).get('a', 2.0)",
            "y = y * sum(E[c] for c in sorted(E))",
            "y = y * max(E.values())",
            "y = y * list(E.values())[-1]",
            "y = y * dict.get(E, 'a', 2.0)",
            "y = y * sum(map(E.get, list(E)))",
            "match E:\n    case {'a': first}: y = y * first\n    case _: y = y * 9.0",
            "y = y * {c: k for k, c in E.items()}.__len__() + len(E.keys() - {'a'})",
        ],
        [
            'E["a"] = 6.0',
            'E["c"] = 8.0; E["a"] = 3.5',
            'E["a"] = E.pop("b") * 3.0',
            'E.clear(); E.update({"b": 3.0, "a": 4.0})',
        ],
    ),
    "order of a dict": (
        "",
        '{"a": 1.0, "b": 2.0}',
        '{"b": 2.0, "a": 1.0}',
        ["for c in E.values(): y = y * c + 1.0", "y = y * next(iter(E.values()))"],
        ['E["a"] = E.pop("a")'],
    ),
    "keys": (
        "class KindK(enum.Enum):\n    P = 1\n    Q = 2",
        "{(0, 1): 1.0, 3: 2.0, None: 1.5, Mode.A: 3.0, 2.5: 4.0, KindK.P: 5.0, True: 1.0, b'k': 2.0}",
        "{(0, 1): 2.0, 3: 3.0, None: 3.5, Mode.A: 4.0, 2.5: 5.0, KindK.P: 6.0, True: 2.0, b'k': 3.0}",
        [
            "y = y * E[0, 1]",
            "y = y * E[3]",
            "y = y * E[None]",
            "y = y * E[Mode.A]",
            "y = y * E[2.5]",
            "y = y * E[KindK.P]",
            "y = y * E[b'k']",
        ],
        [
            "for key in list(E): E[key] = E[key] + 3.0",
            "E.update({key: 2.0 * E[key] + 1.0 for key in E})",
        ],
    ),
    "types as keys": ("", "{float: 1.0, frozenset({1}): 2.0}", "{float: 3.0, frozenset({1}): 4.0}", ["y = y * E[float]", "y = y * E[frozenset({1})]"], ["E[float] = 8.0; E[frozenset({1})] = 7.0"]),
    "set": (
        "",
        "{1.0, 2.0}",
        "{1.0, 5.0}",
        ["y = y * sum(sorted(E))", "y = y * (2.0 if 2.0 in E else 3.0)", "y = y + max(E)"],
        ["E.discard(2.0); E.add(8.0)", "E.symmetric_difference_update({2.0, 3.0})"],
    ),
    "frozenset": ("", "frozenset({1.0, 2.0})", "frozenset({1.0, 5.0})", ["y = y * max(E)"], []),
    "deque": (
        "",
        "collections.deque([1.0, 2.0], maxlen=2)",
        "collections.deque([4.0, 2.0], maxlen=2)",
        ["y = y * sum(E)", "y = y * E[0]", "for c in E: y = y * c + 0.5"],
        ["E.append(7.0)", "E.rotate(1)", "E[0] = 9.0"],
    ),
    "ordered dict": ("", "collections.OrderedDict(a=1.0, b=2.0)", "collections.OrderedDict(a=4.0, b=2.0)", ["for c in E.values(): y = y * c + 1.0"], ['E.move_to_end("a")', 'E["a"] = 5.0']),
    "defaultdict": ("", "collections.defaultdict(lambda: 2.0, a=1.0)", "collections.defaultdict(lambda: 3.0, a=1.0)", ['y = y * E["a"] + E.get("b", 2.0)'], ['E["a"] = 5.0', 'E["b"] = 6.0']),
    "counter": ("", "collections.Counter('aab')", "collections.Counter('ab')", ['y = y * E["a"]', "y = y + E['c'] + E.total()"], ['E.update("abcc")']),
    "chain map": ("", "collections.ChainMap({}, {'a': 1.0})", "collections.ChainMap({}, {'a': 3.0})", ['y = y * E["a"]'], ['E.maps[1]["a"] = 5.0', 'E["a"] = 6.0']),
    "user dict": ("", "collections.UserDict(a=1.0)", "collections.UserDict(a=3.0)", ['y = y * E["a"]'], ['E["a"] = 5.0']),
    "mapping proxy": ("BASEK = {'a': 1.0}", "types.MappingProxyType(BASEK)", "types.MappingProxyType({'a': 4.0})", ['y = y * E["a"]'], []),
    "array": (
        "",
        "np.array([1.0, 2.0, 3.0])",
        "np.array([3.0, 1.0, 2.0])",
        ["y = y * E", "y = y + np.sum(E)", "y = y * E[0] + E[-1]", "y = y * E.max()", "y = y * (2.0 if E[0] > 2.0 else 0.5)", "y = y * float(E[1])"],
        ["E[...] = 7.0", "E[0] = 9.0", "E.sort(); E[:] = E[::-1] + 1.0", "np.multiply(E, 2.5, out=E)", "E.fill(2.5)", "E[::2] = 4.0"],
    ),
    "view of an array": ("BASEK = np.arange(1.0, 7.0)", "BASEK[::2]", "BASEK[1::2]", ["y = y * E", "y = y + np.sum(E)"], ["BASEK[...] = 4.0"]),
    "large array": ("", "np.arange(5000.0)", "np.arange(5000.0)[::-1]", ["y = y + E[4321] / 1e3", "y = y + np.sum(E) / 1e7", "y = y * E[:3]"], ["E[4321] = 3.0; E[0] = 7.0", "E[:] = 1.5"]),
    "array of another shape": ("", "np.array([1.0, 2.0, 3.0])", "np.array([2.0])", ["y = y * E", "y = y * E.shape[0]", "y = y * len(E)"], []),
    "array of another type": ("", "np.array([1, 2, 3])", "np.array([1.0, 2.0, 3.0])", ["y = y * (2.0 if E.dtype.kind == 'f' else 3.0)", "y = y * E.dtype.itemsize * (E.dtype == float) + y"], []),
    "indices": ("", "np.array([2, 0, 1])", "np.array([0, 0, 1])", ["y = np.ones(3) * y; y = y[..., E]", "y = np.take(np.ones(3) * y, E, axis=-1)"], ["E[:] = [1, 1, 2]"]),
    "mask": ("", "np.array([True, False, True])", "np.array([False, False, True])", ["y = np.where(E, y, -y)", "y = y * np.ones(3); y = np.sum(y[..., E]) + y"], ["E[:] = ~E", "E[0] = False"]),
    "numpy scalar": ("", "np.float64(2.0)", "np.float64(3.0)", ["y = y * E"], []),
    "float32 scalar": ("", "np.float32(2.0)", "np.float64(2.0)", ["y = y * (2.0 if E.dtype == np.float32 else 3.0)"], []),
    "function": (
        "",
        "lambda v: v * 2.0",
        "lambda v: v + 1.0",
        ["y = E(y)", "y = functools.reduce(lambda v, g: g(v), [E, np.sin], y)", "y = sum(map(E, [y, y]))"],
        ["E.__code__ = (lambda v: v - 3.0).__code__"],
    ),
    "function with a default": ("", "lambda v, c=2.0: v * c", "lambda v, c=4.0: v * c", ["y = E(y)"], ["E.__defaults__ = (5.0,)"]),
    "rule of its own": ("", "custom(lambda v: v * 2.0, vjp=lambda g, z, v: 2.0 * g)", "custom(lambda v: v * 3.0, vjp=lambda g, z, v: 3.0 * g)", ["y = E(y)"], []),
    "ufunc": ("", "np.sin", "np.cos", ["y = E(y)"], []),
    "binary ufunc": ("", "np.add", "np.multiply", ["y = E(y, 2.5)", "y = E.reduce(y * np.ones(3), axis=-1) + y", "y = E.outer(np.ones(2), np.sum(y))[0] * y"], []),
    "numpy function": ("", "np.sum", "np.max", ["y = y + E(y)"], []),
    "type": ("", "float", "int", ["y = y * E(2.7)", "y = y * (2.0 if E is float else 3.0)", "y = y * (2.0 if isinstance(1.5, E) else 3.0)"], []),
    "class": (
        "class OneK:\n    factor = 2.0\n    def apply(self, v): return v * self.factor\nclass TwoK(OneK):\n    def apply(self, v): return v + 5.0",
        "OneK",
        "TwoK",
        ["y = E().apply(y)"],
        [],
    ),
    "dtype": ("", 'np.dtype("f8")', 'np.dtype("f4")', ["y = (y * np.ones(3)).astype(E)", "y = y * np.zeros(3, E).itemsize", "y = y * E.itemsize"], []),
    "scalar type": ("", "np.float64", "np.float32", ["y = (y * np.ones(3)).astype(E)", "y = y * E(2.0)"], []),
    "slice": ("", "slice(0, 2)", "slice(1, 3)", ["y = y + np.sum((y * np.arange(3.0))[..., E])"], []),
    "range": ("", "range(2)", "range(4)", ["for i in E: y = y + (i + 1) * np.sin(y)", "y = y * len(E)"], []),
    "enum": ("", "Mode.A", "Mode.B", ["y = y * 2.0 if E is Mode.A else y * 3.0", "y = y * E.value", 'y = y * len(E.name) * (2.0 if E == Mode.A else 1.5)'], []),
    "fraction": ("", "fractions.Fraction(1, 2)", "fractions.Fraction(1, 3)", ["y = y * float(E)"], []),
    "decimal": ("", "decimal.Decimal('1.5')", "decimal.Decimal('2.5')", ["y = y * float(E)"], []),
    "array of Python": ("", "array.array('d', [1.0, 2.0])", "array.array('d', [3.0, 2.0])", ["y = y * E[0]", "y = y * sum(E)"], ["E[0] = 6.0"]),
    "bytearray": ("", "bytearray(b'\\x02\\x03')", "bytearray(b'\\x04\\x03')", ["y = y * E[0]"], ["E[0] = 9"]),
    "memoryview": ("BASEK = bytearray(b'\\x02\\x03')", "memoryview(BASEK)", "memoryview(b'\\x05')", ["y = y * E[0]"], ["E[0] = 9"]),
    "tensor": (
        "",
        "Tensor([1.0, 2.0, 3.0])",
        "Tensor([3.0, 1.0, 2.0])",
        ["y = y * E", "y = y * E.data", "y = y + np.sum(E)", "y = y * E[0]"],
        ["E.data = np.array([5.0, 6.0, 7.0])", "E.data[...] = 4.0", "E.data = E.data * 2.0"],
    ),
    "facts of a tensor": (
        "",
        "Tensor([1.0, 2.0, 3.0], name='t')",
        "Tensor([1.0, 2.0], requires_grad=False, name='u')",
        [
            "y = y * (2.0 if E.requires_grad else 3.0)",
            "y = y * (2.0 if E.grad is None else 3.0)",
            "y = y * (2.0 if E.name == 't' else 3.0)",
            "y = y * len(E)",
            "y = y * E.shape[0]",
            "y = y * E.data.size",
        ],
        [
            "E.requires_grad, E.grad, E.name, E.value = False, None, 'v', np.ones(2)",
            "E.grad, E.name, E.value = np.ones(4), 'v', np.ones(4)",
        ],
    ),
    "hook": ("", "Tensor([1.0, 2.0, 3.0])", "Tensor([2.0, 2.0, 3.0])", ["np.sum(E * 3.0).backward(); y = y * E.grad; E.grad = None"], ["E.register_hook(lambda g: g * 5.0)", "E.requires_grad = True; E.data = np.array([7.0, 8.0, 9.0]); E.register_hook(lambda g: g + 5.0)"]),
    "object": (
        "class BoxK:\n    def __init__(self, size): self.sizeK = size\n    def scale(self, v): return v * self.sizeK\n    @property\n    def double(self): return 2.0 * self.sizeK\n    def __call__(self, v): return v * self.sizeK + 1.0\n    def __getitem__(self, i): return self.sizeK * i\n    def __len__(self): return int(self.sizeK)\n    def __iter__(self): return iter([self.sizeK])\n    def __contains__(self, v): return v == self.sizeK\n    def __enter__(self): return self.sizeK\n    def __exit__(self, *error): return None\n    def __float__(self): return float(self.sizeK)\n    def __bool__(self): return self.sizeK < 3.0",
        "BoxK(2.0)",
        "BoxK(4.0)",
        [
            "y = y * E.sizeK",
            "y = E.scale(y)",
            "y = y * E.double",
            "y = E(y)",
            "y = y * E[3]",
            "y = y * len(E)",
            "for c in E: y = y * c",
            "y = y * (2.0 if 2.0 in E else 3.0)",
            "with E as c: y = y * c",
            "y = y * float(E)",
            "y = y * (2.0 if E else 3.0)",
            "y = y * vars(E)['sizeK']",
            "y = y * getattr(E, 'sizeK')",
            "y = y * operator.attrgetter('sizeK')(E)",
            "bound = E.scale; y = bound(y)",
            "y = list(map(E, [y]))[0]",
        ],
        ["E.sizeK = 5.0", "vars(E)['sizeK'] = 6.0", "E.__dict__.update(sizeK=7.0)", "setattr(E, 'sizeK', 8.0)"],
    ),
    "method of a class": (
        "class BoxK:\n    def sizeK(self, v): return v * 2.0\n    @staticmethod\n    def fixedK(v): return v * 3.0\n    @classmethod\n    def commonK(cls, v): return v * 4.0",
        "BoxK()",
        "BoxK()",
        ["y = BoxK.fixedK(BoxK.commonK(E.sizeK(y)))"],
        ["BoxK.sizeK = lambda self, v: v + 1.0", "BoxK.sizeK = BoxK.fixedK = staticmethod(lambda v: v + 2.0)", "E.sizeK = lambda v: v - 1.0"],
    ),
    "dataclass": (
        "@dataclasses.dataclass\nclass DataK:\n    sizeK: float = 2.0\n    partsK: list = dataclasses.field(default_factory=lambda: [1.0])",
        "DataK()",
        "DataK(4.0)",
        ["y = y * E.sizeK", "y = y * sum(dataclasses.astuple(E)[:1])", "y = y * dataclasses.asdict(E)['sizeK']", "y = y * dataclasses.replace(E, partsK=[]).sizeK"],
        ["E.sizeK = 5.0"],
    ),
    "frozen dataclass": ("@dataclasses.dataclass(frozen=True)\nclass DataK:\n    sizeK: float = 2.0", "DataK()", "DataK(4.0)", ["y = y * E.sizeK"], ["object.__setattr__(E, 'sizeK', 6.0)"]),
    "namespace": ("", "types.SimpleNamespace(sizeK=2.0)", "types.SimpleNamespace(sizeK=4.0)", ["y = y * E.sizeK"], ["E.sizeK = 5.0"]),
    "options": ("", "argparse.Namespace(sizeK=2.0)", "argparse.Namespace(sizeK=4.0)", ["y = y * E.sizeK"], ["E.sizeK = 5.0"]),
    "slots": ("class SlotK:\n    __slots__ = ('sizeK',)\n    def __init__(self, size): self.sizeK = size", "SlotK(2.0)", "SlotK(4.0)", ["y = y * E.sizeK"], ["E.sizeK = 5.0"]),
    "one slot": ("class SlotK:\n    __slots__ = 'sizeK'\n    def __init__(self, size): self.sizeK = size", "SlotK(2.0)", "SlotK(4.0)", ["y = y * E.sizeK"], ["E.sizeK = 5.0"]),
    "named tuple": ("PairK = collections.namedtuple('PairK', 'sizeK other')", "PairK(2.0, 1.0)", "PairK(4.0, 1.0)", ["y = y * E.sizeK + E[1]"], []),
    "dict subclass": ("class DictK(dict):\n    __getattr__ = dict.__getitem__", "DictK(sizeK=2.0)", "DictK(sizeK=4.0)", ["y = y * E.sizeK", "y = y * E['sizeK']"], ["E['sizeK'] = 5.0"]),
    "list subclass": ("class ListK(list):\n    sizeK = 1.0", "ListK([2.0])", "ListK([4.0])", ["y = y * E[0] * E.sizeK"], ["E[0] = 5.0", "E.append(2.0); E[0] = 3.0"]),
    "partial": ("", "functools.partial(np.multiply, 2.0)", "functools.partial(np.multiply, 3.0)", ["y = E(y)"], []),
    "partial of keywords": ("def applyK(v, factor=1.0): return v * factor", "functools.partial(applyK, factor=2.0)", "functools.partial(applyK, factor=3.0)", ["y = E(y)"], ["E.keywords['factor'] = 4.0"]),
    "polynomial": ("", "np.poly1d([1.0, 2.0])", "np.poly1d([2.0, 2.0])", ["y = E(y)", "y = y * E.coeffs[0]"], ["E.coeffs[0] = 5.0"]),
    "masked array": ("", "np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1])", "np.ma.array([1.0, 2.0, 3.0], mask=[1, 0, 0])", ["y = y * float(E.sum())"], ["E[0] = np.ma.masked", "E.mask[:] = [0, 1, 0]"]),
    "record": ("", "np.array([(1.0, 2.0)], dtype=[('a', 'f8'), ('b', 'f8')])", "np.array([(3.0, 2.0)], dtype=[('a', 'f8'), ('b', 'f8')])", ["y = y * E['a'][0]"], ["E['a'] = 6.0"]),
    "list of arrays": ("", "[np.ones(3), np.full(3, 2.0)]", "[np.ones(3), np.full(3, 5.0)]", ["y = y * E[1]", "for c in E: y = y * c + 1.0"], ["E[1][...] = 4.0", "E[1] = np.full(3, 6.0)", "E.append(np.full(3, 3.0)); E[1] = np.full(3, 2.5)"]),
    "dict of functions": ("LEVELK = 2.0\ndef scaleK(v): return v * LEVELK", "{'f': scaleK, 'g': np.sin}", "{'f': np.cos, 'g': np.sin}", ["y = E['f'](y)", "for c in E.values(): y = c(y)"], ["E['f'] = np.tanh", "E.pop('f'); E['f'] = np.arctan"]),
    "list of functions": ("LEVELK = 2.0\ndef scaleK(v): return v * LEVELK", "[scaleK, np.sin]", "[np.cos, np.sin]", ["y = E[0](y)", "for c in E: y = c(y)"], ["E[0] = np.tanh", "E.insert(0, np.arctan)"]),
    "bound method": ("class BoxK:\n    def __init__(self, size): self.sizeK = size\n    def scale(self, v): return v * self.sizeK", "BoxK(2.0).scale", "BoxK(3.0).scale", ["y = E(y)"], ["E.__self__.sizeK = 4.0"]),
    "weak reference": ("class BoxK:\n    sizeK = 2.0\nKEPTK = [BoxK(), BoxK()]\nKEPTK[1].sizeK = 3.0", "weakref.ref(KEPTK[0])", "weakref.ref(KEPTK[1])", ["y = y * E().sizeK"], ["E().sizeK = 4.0"]),
    "proxy": ("class BoxK:\n    sizeK = 2.0\nKEPTK = [BoxK(), BoxK()]\nKEPTK[1].sizeK = 3.0", "weakref.proxy(KEPTK[0])", "weakref.proxy(KEPTK[1])", ["y = y * E.sizeK"], ["E.sizeK = 4.0"]),
    "text buffer": ("", "io.StringIO('2.0')", "io.StringIO('3.0')", ["y = y * float(E.getvalue())"], ["E.seek(0); E.write('4.0')"]),
    "closure in a container": ("def makeK(size):\n    sizeK = size\n    def scale(v): return v * sizeK\n    def become(v):\n        nonlocal sizeK\n        sizeK = v\n    scale.become = become\n    return scale", "makeK(2.0)", "makeK(3.0)", ["y = E(y)"], ["E.become(4.0)"]),
    "cached": ("SIZEK = 2.0\n@functools.lru_cache\ndef sizeK(): return SIZEK", "sizeK", "(lambda: 7.0)", ["y = y * E()"], ["global SIZEK; SIZEK = 3.0; sizeK.cache_clear()"]),
    "generic function": ("@functools.singledispatch\ndef actK(v): return 1.0\n@actK.register(float)\ndef _(v): return 2.0", "actK", "(lambda v: 3.0)", ["y = y * E(1.5)", "y = y * E('a')"], ["actK.register(float, lambda v: 5.0); actK.register(str, lambda v: 6.0)"]),
    "module": ("ONEK, TWOK = types.ModuleType('one'), types.ModuleType('two')\nONEK.sizeK, TWOK.sizeK = 2.0, 3.0", "ONEK", "TWOK", ["y = y * E.sizeK"], ["E.sizeK = 4.0"]),
    "number of C": ("", "ctypes.c_double(2.0)", "ctypes.c_double(3.0)", ["y = y * E.value"], ["E.value = 4.0"]),
    "array of C": ("", "(ctypes.c_double * 2)(2.0, 1.0)", "(ctypes.c_double * 2)(3.0, 1.0)", ["y = y * E[0]", "y = y * sum(E)"], ["E[0] = 4.0"]),
    "bytes buffer": ("", "io.BytesIO(b'ab')", "io.BytesIO(b'abc')", ["y = y * len(E.getvalue())", "y = y * E.getbuffer()[0]"], ["E.getbuffer()[0] = 9; E.seek(0, 2); E.write(b'cde')"]),
    "pattern": ("", "re.compile('a')", "re.compile('b')", ["y = y * (2.0 if E.match('a') else 3.0)"], []),
    "path": ("", "pathlib.Path('a')", "pathlib.Path('ab')", ["y = y * len(str(E))"], []),
    "date": ("", "datetime.date(2020, 1, 1)", "datetime.date(2021, 1, 2)", ["y = y * E.day", "y = y + E.year"], []),
    "complex": ("", "1.0 + 2.0j", "1.0 + 3.0j", ["y = y * E.imag", "y = y * abs(E)"], []),
    "user list": ("", "collections.UserList([1.0, 2.0])", "collections.UserList([3.0, 2.0])", ["y = y * E[0]", "y = y * sum(E)"], ["E[0] = 5.0", "E.append(4.0); E[0] = 6.0"]),
    "mapping of its own": (
        "class MapK(collections.abc.Mapping):\n    def __init__(self, **given): self.given = given\n    def __getitem__(self, key): return self.given[key]\n    def __iter__(self): return iter(self.given)\n    def __len__(self): return len(self.given)",
        "MapK(sizeK=2.0)",
        "MapK(sizeK=3.0)",
        ["y = y * E['sizeK']", "y = y * sum(E.values())", "y = y * dict(**E)['sizeK']", "y = y * E.get('sizeK')"],
        ["E.given['sizeK'] = 4.0", "E.given = dict(sizeK=5.0)"],
    ),
    "object of a subclass": (
        "class BaseK:\n    def __init__(self, size): self.sizeK = size\n    def scale(self, v): return v * self.sizeK\nclass MixinK:\n    extra = 1.0\nclass BoxK(MixinK, BaseK):\n    def scale(self, v): return super().scale(v) + self.extra",
        "BoxK(2.0)",
        "BoxK(3.0)",
        ["y = E.scale(y)", "y = operator.methodcaller('scale', y)(E)"],
        ["E.sizeK = 4.0"],
    ),
    "base class that changes": (
        "class BaseK:\n    def sizeK(self, v): return v * 2.0\nclass BoxK(BaseK):\n    def scale(self, v): return super().sizeK(v)",
        "BoxK()",
        "BoxK()",
        ["y = E.scale(y)"],
        ["BaseK.sizeK = lambda self, v: v * 3.0"],
    ),
    "typed tuple": ("class PairK(typing.NamedTuple):\n    sizeK: float = 2.0\n    def scale(self, v): return v * self.sizeK", "PairK()", "PairK(3.0)", ["y = E.scale(y)", "y = y * E._asdict()['sizeK']"], []),
    "enum of its own": ("class KindK(enum.Enum):\n    P = [2.0]\n    Q = [3.0]\n    def scale(self, v): return v * self.value[0]", "KindK.P", "KindK.Q", ["y = E.scale(y)"], ["E.value[0] = 5.0"]),
    "flag": ("class FlagK(enum.Flag):\n    P = 1\n    Q = 2", "FlagK.P", "FlagK.P | FlagK.Q", ["y = y * (2.0 if FlagK.Q in E else 3.0)"], []),
    "operator": ("", "operator.add", "operator.mul", ["y = E(y, 2.5)"], []),
    "getter": ("class BoxK:\n    sizeK, other = 2.0, 3.0", "operator.attrgetter('sizeK')", "operator.attrgetter('other')", ["y = y * E(BoxK)"], ["BoxK.sizeK = 4.0"]),
    "bound method of a dict": ("BASEK = {'a': 2.0}", "BASEK.get", "{'a': 3.0}.get", ["y = y * E('a')"], ["E.__self__['a'] = 5.0"]),
    "bound method of a list": ("BASEK = [2.0]", "BASEK.__getitem__", "[3.0].__getitem__", ["y = y * E(0)"], ["E.__self__[0] = 5.0"]),
    "bound method of an array": ("BASEK = np.array([2.0, 1.0])", "BASEK.sum", "np.array([3.0]).sum", ["y = y * E()"], ["E.__self__[0] = 5.0"]),
    "nested partial": ("def applyK(v, a, b): return v * a + b", "functools.partial(functools.partial(applyK, b=1.0), a=2.0)", "functools.partial(functools.partial(applyK, b=1.0), a=3.0)", ["y = E(y)"], ["E.keywords['a'] = 4.0"]),
    "decorator with an argument": ("def timesK(c):\n    def decorate(g):\n        @functools.wraps(g)\n        def inner(v): return g(v) * c[0]\n        inner.weights = c\n        return inner\n    return decorate", "timesK([2.0])(np.sin)", "timesK([3.0])(np.sin)", ["y = E(y)"], ["E.weights[0] = 4.0"]),
    "recursive function": ("DEPTHK = 2\ndef deepK(v, n=0): return v if n == DEPTHK else deepK(np.sin(v) + v, n + 1)", "deepK", "(lambda v: v)", ["y = E(y)"], ["global DEPTHK; DEPTHK = 3"]),
    "sparse dict": ("class SparseK(dict):\n    sizeK = 2.0\n    def __missing__(self, key): return self.sizeK", "SparseK()", "SparseK(a=3.0)", ["y = y * E['a']"], ["E['a'] = 4.0", "E.sizeK = 5.0; E['a'] = 6.0"]),
    "tuple of a list": ("", "(1.0, [2.0])", "(1.0, [3.0])", ["y = y * E[1][0]", "_, [c] = E; y = y * c"], ["E[1][0] = 4.0", "E[1].insert(0, 5.0)"]),
    "array of objects": ("", "np.array([2.0, None], object)", "np.array([3.0, None], object)", ["y = y * E[0]"], ["E[0] = 4.0"]),
    "array of texts": ("", "np.array(['a', 'bc'])", "np.array(['ab', 'bc'])", ["y = y * len(E[0])"], ["E[0] = 'xy'"]),
    "scalar array": ("", "np.array(2.0)", "np.array(3.0)", ["y = y * E", "y = y * float(E)"], ["E[...] = 4.0", "E.itemset(5.0) if hasattr(E, 'itemset') else E.fill(5.0)"]),
    "tensor without a gradient": ("", "Tensor([1.0, 2.0, 3.0], requires_grad=False)", "Tensor([3.0, 1.0, 2.0], requires_grad=False)", ["y = y * E.data", "y = y + np.sum(E.data)"], ["E.data = E.data * 3.0", "E.data[0] = 6.0"]),
    "list of tensors": ("", "[Tensor([1.0, 2.0, 3.0])]", "[Tensor([3.0, 1.0, 2.0])]", ["y = y * E[0].data", "for t in E: y = y + t.data"], ["E[0].data = np.full(3, 4.0)", "E.append(Tensor([1.0, 1.0, 1.0])); E[0] = Tensor([5.0, 5.0, 5.0])"]),
    "module of layers": ("", "nn.Linear(3, 3, rng=1)", "nn.Linear(3, 3, rng=2)", ["y = E(y * np.ones(3)).data"], []),
    "compiled": ("LEVELK = 2.0", "WRAP(lambda v: v * LEVELK)", "WRAP(lambda v: v * 3.0)", ["y = E(y)"], []),
    "string template": ("", "string.Template('$a')", "string.Template('$a$a')", ["y = y * len(E.substitute(a='bc'))"], []),
}
# What the words for a value's own attributes are, where changes in place touch one.
OWN = {"object": "sizeK", "method of a class": "sizeK", "dataclass": "sizeK", "frozen dataclass": "sizeK", "namespace": "sizeK", "options": "sizeK", "slots": "sizeK", "one slot": "sizeK", "bound method": "sizeK", "weak reference": "sizeK", "proxy": "sizeK", "closure in a container": "sizeK", "cached": "SIZEK", "module": "sizeK"}
# What an argument is whole, with all that is in it.
NESTS = ("array", "large array", "indices", "mask", "list", "nested list", "large list", "dict", "large dict", "nested large list", "order of a dict", "list of arrays", "tuple of a list", "scalar array", "tensor", "facts of a tensor", "hook", "tensor without a gradient", "list of tensors", "view of an array")


# ── places: where it is found ─────────────────────────────────────────────────────────────────────
# name: (fields of Part, how it is read, how it is changed, words). `V` is the value, `W` the next.

PLACES = {
    "global": (dict(module="RATEK = V"), "RATEK", "global RATEK; RATEK = W", "RATEK"),
    "cell": (dict(outer="rateK = V"), "rateK", "nonlocal rateK; rateK = W", "rateK"),
    "default": (dict(parameter="rateK=V"), "rateK", "set_default(f, 'rateK', W)", "rateK"),
    "keyword default": (dict(keyword="rateK=V"), "rateK", "set_default(f, 'rateK', W)", "rateK"),
    "global of a helper": (
        dict(module="RATEK = V\ndef helperK(): return RATEK"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "global of a helper's helper": (
        dict(module="RATEK = V\ndef innerK(): return RATEK\ndef helperK(): return (lambda: innerK())()"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "default of a helper": (
        dict(module="def helperK(rateK=V): return rateK"),
        "helperK()",
        "set_default(helperK, 'rateK', W)",
        "rateK",
    ),
    "keyword default of a helper": (
        dict(module="def helperK(*, rateK=V): return rateK"),
        "helperK()",
        "set_default(helperK, 'rateK', W)",
        "rateK",
    ),
    "cell of a helper": (
        dict(
            module="def makeK():\n    rateK = V\n    def get(): return rateK\n    def put(v):\n        nonlocal rateK\n        rateK = v\n    return get, put\ngetK, putK = makeK()"
        ),
        "getK()",
        "putK(W)",
        "rateK",
    ),
    "attribute": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "attribute of an object in a cell": (
        dict(module="class HolderK: pass", outer="holderK = HolderK()\nholderK.rateK = V"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "private attribute": (
        dict(module="class HolderK:\n    def __init__(self): self.__rateK = V\n    def get(self): return self.__rateK\n    def put(self, v): self.__rateK = v\nholderK = HolderK()"),
        "holderK.get()",
        "holderK.put(W)",
        "_HolderK__rateK",
    ),
    "deep attribute": (
        dict(module="class HolderK:\n    def __init__(self, **given): vars(self).update(given)\nholderK = HolderK(layers=[HolderK(), HolderK(parts={'a': HolderK(rateK=V)})])"),
        "holderK.layers[1].parts['a'].rateK",
        "holderK.layers[1].parts['a'].rateK = W",
        "rateK",
    ),
    "namespace": (
        dict(module="holderK = types.SimpleNamespace(rateK=V)"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "namespace that is replaced": (
        dict(module="holderK = types.SimpleNamespace(rateK=V)"),
        "holderK.rateK",
        "global holderK; holderK = types.SimpleNamespace(rateK=W)",
        "rateK|holderK",
    ),
    "options": (dict(module="holderK = argparse.Namespace(rateK=V)"), "holderK.rateK", "holderK.rateK = W", "rateK"),
    "dataclass": (
        dict(module="@dataclasses.dataclass\nclass HolderK:\n    rateK: object\nholderK = HolderK(V)"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "slot": (
        dict(module="class HolderK:\n    __slots__ = ('rateK', 'other')\nholderK = HolderK()\nholderK.rateK = V"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "slots of a dataclass": (
        dict(module="@dataclasses.dataclass(slots=True)\nclass HolderK:\n    rateK: object\nholderK = HolderK(V)"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "inherited slot": (
        dict(module="class BaseK:\n    __slots__ = ('rateK',)\nclass HolderK(BaseK):\n    __slots__ = ()\nholderK = HolderK()\nholderK.rateK = V"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "class": (dict(module="class HolderK:\n    rateK = V"), "HolderK.rateK", "HolderK.rateK = W", "rateK"),
    "class of an object": (
        dict(module="class HolderK:\n    rateK = V\nholderK = HolderK()"),
        "holderK.rateK",
        "HolderK.rateK = W",
        "rateK",
    ),
    "object hides its class": (
        dict(module="class HolderK:\n    rateK = V\nholderK = HolderK()"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "base class": (
        dict(module="class BaseK:\n    rateK = V\nclass HolderK(BaseK):\n    def get(self): return self.rateK\nholderK = HolderK()"),
        "holderK.get()",
        "BaseK.rateK = W",
        "rateK",
    ),
    "class in a class": (
        dict(module="class HolderK:\n    class Inner:\n        rateK = V"),
        "HolderK.Inner.rateK",
        "HolderK.Inner.rateK = W",
        "rateK",
    ),
    "another class": (
        dict(module="class HolderK:\n    def get(self): return V\nclass OtherK:\n    def get(self): return W\nholderK = HolderK()"),
        "holderK.get()",
        "holderK.__class__ = OtherK",
        "holderK|OtherK|HolderK|__class__",
    ),
    "property": (
        dict(module="class HolderK:\n    def __init__(self): self._rateK = V\n    @property\n    def rate(self): return self._rateK\nholderK = HolderK()"),
        "holderK.rate",
        "holderK._rateK = W",
        "_rateK",
    ),
    "property that reads a global": (
        dict(module="RATEK = V\nclass HolderK:\n    @property\n    def rate(self): return RATEK\nholderK = HolderK()"),
        "holderK.rate",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "method that reads a global": (
        dict(module="RATEK = V\nclass HolderK:\n    def rate(self): return self.inner()\n    def inner(self): return RATEK\nholderK = HolderK()"),
        "holderK.rate()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "class method": (
        dict(module="class HolderK:\n    rateK = V\n    @classmethod\n    def rate(cls): return cls.rateK\nholderK = HolderK()"),
        "holderK.rate()",
        "HolderK.rateK = W",
        "rateK",
    ),
    "static method that reads a global": (
        dict(module="RATEK = V\nclass HolderK:\n    @staticmethod\n    def rate(): return RATEK"),
        "HolderK.rate()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "call of an object": (
        dict(module="class HolderK:\n    def __init__(self): self.rateK = V\n    def __call__(self): return self.rateK\nholderK = HolderK()"),
        "holderK()",
        "holderK.rateK = W",
        "rateK",
    ),
    "item of an object": (
        dict(module="class HolderK:\n    def __init__(self): self.rateK = V\n    def __getitem__(self, key): return self.rateK\nholderK = HolderK()"),
        "holderK['a']",
        "holderK.rateK = W",
        "rateK",
    ),
    "attribute that is made up": (
        dict(module="RATEK = V\nclass HolderK:\n    def __getattr__(self, name):\n        if name[:2] == '__': raise AttributeError(name)\n        return RATEK\nholderK = HolderK()"),
        "holderK.anything",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "descriptor": (
        dict(module="RATEK = V\nclass DescriptorK:\n    def __get__(self, owner, kind): return RATEK\nclass HolderK:\n    rate = DescriptorK()\nholderK = HolderK()"),
        "holderK.rate",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "iteration over an object": (
        dict(module="RATEK = V\nclass HolderK:\n    def __iter__(self):\n        yield RATEK\nholderK = HolderK()"),
        "next(iter(holderK))",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "generator": (
        dict(module="RATEK = V\ndef ratesK():\n    yield RATEK"),
        "next(ratesK())",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "context manager": (
        dict(module="RATEK = V\n@contextlib.contextmanager\ndef rateK():\n    yield RATEK\ndef readK():\n    with rateK() as value:\n        return value"),
        "readK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "decorated helper": (
        dict(module="RATEK = V\ndef decoratorK(g):\n    @functools.wraps(g)\n    def inner(*args): return g(*args)\n    return inner\n@decoratorK\ndef helperK(): return RATEK"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "meta class": (
        dict(module="class MetaK(type):\n    rateK = V\nclass HolderK(metaclass=MetaK): pass"),
        "HolderK.rateK",
        "MetaK.rateK = W",
        "rateK",
    ),
    "item": (dict(module="TABLEK = {'a': V, 'b': 1.0}"), "TABLEK['a']", "TABLEK['a'] = W", "TABLEK"),
    "item by a number": (dict(module="TABLEK = {0: V, 1: 1.0}"), "TABLEK[0]", "TABLEK[0] = W", "TABLEK"),
    "item by a tuple": (dict(module="TABLEK = {(0, 'a'): V}"), "TABLEK[0, 'a']", "TABLEK[0, 'a'] = W", "TABLEK"),
    "item by an enum": (dict(module="TABLEK = {Mode.A: V, Mode.B: 1.0}"), "TABLEK[Mode.A]", "TABLEK[Mode.A] = W", "TABLEK"),
    "item by a float": (dict(module="TABLEK = {0.5: V}"), "TABLEK[0.5]", "TABLEK[0.5] = W", "TABLEK"),
    "item of an item": (
        dict(module="TABLEK = {'a': {'b': [V]}}"),
        "TABLEK['a']['b'][0]",
        "TABLEK['a']['b'][0] = W",
        "TABLEK",
    ),
    "item of a dict in a cell": (dict(outer="tableK = {'a': V}"), "tableK['a']", "tableK['a'] = W", "tableK"),
    "dict that is replaced": (
        dict(module="TABLEK = {'a': V}"),
        "TABLEK['a']",
        "global TABLEK; TABLEK = {'a': W}",
        "TABLEK",
    ),
    "item that is missing": (
        dict(module="TABLEK = {'a': V, 'b': W}"),
        "TABLEK.get('a', TABLEK['b'])",
        "TABLEK.pop('a', None)",
        "TABLEK",
    ),
    "attribute that is deleted": (
        dict(module="class HolderK:\n    rateK = W\nholderK = HolderK()\nholderK.rateK = V"),
        "holderK.rateK",
        "vars(holderK).pop('rateK', None)",
        "rateK",
    ),
    "attribute that is added": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nDEFAULTK = V"),
        "getattr(holderK, 'rateK', DEFAULTK)",
        "holderK.rateK = W",
        "rateK|holderK",
    ),
    "global that is added": (
        dict(module="DEFAULTK = V\ndef helperK():\n    try:\n        return RATEK\n    except NameError:\n        return DEFAULTK"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "element": (dict(module="LISTK = [V, 1.0]"), "LISTK[0]", "LISTK[0] = W", "LISTK"),
    "element of a list in a tuple": (dict(module="TUPLEK = (1.0, [V])"), "TUPLEK[1][0]", "TUPLEK[1][0] = W", "TUPLEK"),
    "last element": (dict(module="LISTK = [1.0, V]"), "LISTK[-1]", "LISTK.append(W)", "LISTK"),
    "element of a long list": (
        dict(module="LISTK = [1.0] * 2000\nLISTK[1700] = V"),
        "LISTK[1700]",
        "LISTK[1700] = W",
        "LISTK",
    ),
    "item of a large dict": (
        dict(module="TABLEK = {str(i): 1.0 for i in range(1500)}\nTABLEK['1300'] = V"),
        "TABLEK['1300']",
        "TABLEK['1300'] = W",
        "TABLEK",
    ),
    "element of a deque": (
        dict(module="QUEUEK = collections.deque([1.0, V], maxlen=2)"),
        "QUEUEK[-1]",
        "QUEUEK.append(W)",
        "QUEUEK",
    ),
    "library": (dict(library="RATEK = V"), "lib.RATEK", "lib.RATEK = W", "RATEK"),
    "imported": (dict(library="RATEK = V", module="from LIBRARY import RATEK"), "RATEK", "global RATEK; RATEK = W", "RATEK"),
    "class of a library": (dict(library="class HolderK:\n    rateK = V"), "lib.HolderK.rateK", "lib.HolderK.rateK = W", "rateK"),
    "function of a library": (
        dict(library="RATEK = V\ndef helperK(): return RATEK"),
        "lib.helperK()",
        "lib.RATEK = W",
        "RATEK",
    ),
    "imported function": (
        dict(library="RATEK = V\ndef helperK(): return RATEK", module="from LIBRARY import helperK"),
        "helperK()",
        "lib.RATEK = W",
        "RATEK",
    ),
    "function of a library that is replaced": (
        dict(library="def helperK(): return V\ndef otherK(): return W"),
        "lib.helperK()",
        "lib.helperK = lib.otherK",
        "helperK",
    ),
    "imported in the function": (
        dict(library="RATEK = V", module="def helperK():\n    from LIBRARY import RATEK\n    return RATEK"),
        "helperK()",
        "lib.RATEK = W",
        "RATEK",
    ),
    "attribute of a function": (
        dict(module="def helperK(): return helperK.rateK\nhelperK.rateK = V"),
        "helperK()",
        "helperK.rateK = W",
        "rateK",
    ),
    "keyword of a partial": (
        dict(module="partialK = functools.partial(lambda rateK: rateK, rateK=V)"),
        "partialK()",
        "partialK.keywords['rateK'] = W",
        "rateK|partialK",
    ),
    "bound method": (
        dict(module="class HolderK:\n    def __init__(self): self.rateK = V\n    def get(self): return self.rateK\nboundK = HolderK().get"),
        "boundK()",
        "boundK.__self__.rateK = W",
        "rateK",
    ),
    "function in a dict": (
        dict(module="RATEK = V\nTABLEK = {'a': lambda: RATEK}"),
        "TABLEK['a']()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "function in a list": (
        dict(module="RATEK = V\nLISTK = [lambda: RATEK]"),
        "LISTK[0]()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "function in an attribute": (
        dict(module="RATEK = V\nclass HolderK: pass\nholderK = HolderK()\nholderK.act = lambda: RATEK"),
        "holderK.act()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "function in a dict that is replaced": (
        dict(module="TABLEK = {'a': lambda: V}"),
        "TABLEK['a']()",
        "TABLEK['a'] = lambda: W",
        "TABLEK",
    ),
    "context variable": (
        dict(module="VARK = contextvars.ContextVar('rateK')\nVARK.set(V)"),
        "VARK.get()",
        "VARK.set(W)",
        "VARK|rateK",
    ),
    "default of a context variable": (
        dict(module="VARK = contextvars.ContextVar('rateK', default=V)"),
        "VARK.get()",
        "VARK.set(W)",
        "VARK|rateK",
    ),
    "local of a thread": (
        dict(module="LOCALK = threading.local()\nLOCALK.rateK = V"),
        "LOCALK.rateK",
        "LOCALK.rateK = W",
        "rateK|LOCALK",
    ),
    "getter of an item": (dict(module="TABLEK = {'a': V}\ngetK = operator.itemgetter('a')"), "getK(TABLEK)", "TABLEK['a'] = W", "TABLEK"),
    "bound getter": (dict(module="TABLEK = {'a': V}\ngetK = TABLEK.get"), "getK('a')", "TABLEK['a'] = W", "TABLEK|getK"),
    "getter in a partial": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V\ngetK = functools.partial(getattr, holderK, 'rateK')"),
        "getK()",
        "holderK.rateK = W",
        "rateK",
    ),
    "super": (
        dict(module="class BaseK:\n    def get(self): return self.rateK\nclass HolderK(BaseK):\n    def __init__(self): self.rateK = V\n    def get(self): return super().get()\nholderK = HolderK()"),
        "holderK.get()",
        "holderK.rateK = W",
        "rateK",
    ),
    "method that is replaced": (
        dict(module="class HolderK:\n    def rateK(self): return V\nholderK = HolderK()"),
        "holderK.rateK()",
        "HolderK.rateK = lambda self: W",
        "rateK",
    ),
    "method of an object that is replaced": (
        dict(module="class HolderK:\n    def rateK(self): return V\nholderK = HolderK()"),
        "holderK.rateK()",
        "holderK.rateK = lambda: W",
        "rateK",
    ),
    "property that is replaced": (
        dict(module="class HolderK:\n    rateK = property(lambda self: V)\nholderK = HolderK()"),
        "holderK.rateK",
        "HolderK.rateK = property(lambda self: W)",
        "rateK",
    ),
    "class that is replaced": (
        dict(module="class HolderK:\n    rate = V\nclass OtherK:\n    rate = W"),
        "HolderK.rate",
        "global HolderK; HolderK = OtherK",
        "HolderK",
    ),
    "class made in the function": (
        dict(module="RATEK = V\ndef helperK():\n    class Inner:\n        rate = RATEK\n    return Inner().rate"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "closure in a closure": (
        dict(outer="rateK = V\ndef outerK():\n    def innerK(): return rateK\n    return innerK"),
        "outerK()()",
        "nonlocal rateK; rateK = W",
        "rateK",
    ),
    "nested function": (
        dict(module="RATEK = V\ndef helperK():\n    def inner():\n        def innermost(): return RATEK\n        return innermost()\n    return inner()"),
        "helperK()",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "dict by two stars": (dict(module="TABLEK = {'rate': V}\ndef helperK(rate): return rate"), "helperK(**TABLEK)", "TABLEK['rate'] = W", "TABLEK"),
    "list by a star": (dict(module="LISTK = [V]\ndef helperK(rate): return rate"), "helperK(*LISTK)", "LISTK[0] = W", "LISTK"),
    "object of a library": (
        dict(library="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V"),
        "lib.holderK.rateK",
        "lib.holderK.rateK = W",
        "rateK",
    ),
    "imported object": (
        dict(library="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V", module="from LIBRARY import holderK"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "library by a function of its own": (
        dict(library="RATEK = V\ndef becomeK(v):\n    global RATEK\n    RATEK = v\ndef helperK(): return RATEK"),
        "lib.helperK()",
        "lib.becomeK(W)",
        "RATEK",
    ),
    "library by its name": (
        dict(library="RATEK = V"),
        "importlib.import_module('LIBRARY').RATEK",
        "lib.RATEK = W",
        "RATEK",
    ),
    "attribute that a library makes up": (
        dict(library="SECRETK = V\ndef __getattr__(name):\n    if name == 'rateK': return SECRETK\n    raise AttributeError(name)"),
        "lib.rateK",
        "lib.SECRETK = W",
        "SECRETK",
    ),
    "class variable of a dataclass": (
        dict(module="@dataclasses.dataclass\nclass HolderK:\n    rateK: typing.ClassVar = V\n    other: float = 1.0\nholderK = HolderK()"),
        "holderK.rateK",
        "HolderK.rateK = W",
        "rateK",
    ),
    "setter": (
        dict(module="class HolderK:\n    _rateK = V\n    @property\n    def rate(self): return self._rateK\n    @rate.setter\n    def rate(self, v): self._rateK = v\nholderK = HolderK()"),
        "holderK.rate",
        "holderK.rate = W",
        "_rateK",
    ),
    "cached property": (
        dict(module="class HolderK:\n    def __init__(self): self.source = V\n    @functools.cached_property\n    def rateK(self): return self.source\nholderK = HolderK()\nholderK.rateK"),
        "holderK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "attribute of a class by its text": (
        dict(module="class HolderK:\n    rateK = V"),
        "getattr(HolderK, 'rate' + 'K')",
        "HolderK.rateK = W",
        "rateK",
    ),
    "owner in a tuple": (
        dict(module="class HolderK: pass\nPAIRK = (HolderK(), 1.0)\nPAIRK[0].rateK = V"),
        "PAIRK[0].rateK",
        "PAIRK[0].rateK = W",
        "rateK",
    ),
    "owner as a key": (
        dict(module="class HolderK: pass\nKEYSK = {HolderK(): 1.0}\nnext(iter(KEYSK)).rateK = V"),
        "next(iter(KEYSK)).rateK",
        "next(iter(KEYSK)).rateK = W",
        "rateK",
    ),
    "owner in a deque": (
        dict(module="class HolderK: pass\nQUEUEK = collections.deque([HolderK()])\nQUEUEK[0].rateK = V"),
        "QUEUEK[0].rateK",
        "QUEUEK[0].rateK = W",
        "rateK",
    ),
    "owner in a set": (
        dict(module="class HolderK: pass\nSETK = {HolderK()}\nnext(iter(SETK)).rateK = V"),
        "next(iter(SETK)).rateK",
        "next(iter(SETK)).rateK = W",
        "rateK",
    ),
    "owner that refers to itself": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.me, holderK.rateK = holderK, V"),
        "holderK.me.me.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "chain of owners": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nat = holderK\nfor _ in range(60):\n    at.next = HolderK()\n    at = at.next\nat.rateK = V\ndef lastK():\n    at = holderK\n    while hasattr(at, 'next'): at = at.next\n    return at"),
        "lastK().rateK",
        "lastK().rateK = W",
        "rateK",
    ),
    "child of a module that is replaced": (
        dict(module="class NetK(nn.Module):\n    def __init__(self, rate): self.rateK = rate\n    def forward(self, v): return self.rateK\nnetK = nn.Sequential(nn.Identity(), NetK(V))"),
        "netK(1.0)",
        "netK[1] = NetK(W)",
        None,
    ),
    "method of a module that is replaced": (
        dict(module="class NetK(nn.Module):\n    def forward(self): return V\nnetK = NetK()"),
        "netK()",
        "netK.forward = lambda: W",
        None,
    ),
    "property of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self._rateK = V\n    @property\n    def rate(self): return self._rateK\n    def forward(self): return self.rate\nnetK = NetK()"),
        "netK()",
        "netK._rateK = W",
        None,
    ),
    "function of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.act = lambda: V\n    def forward(self): return self.act()\nnetK = NetK()"),
        "netK()",
        "netK.act = lambda: W",
        None,
    ),
    "slot of a module's helper": (
        dict(module="class HolderK:\n    __slots__ = ('rateK',)\nclass NetK(nn.Module):\n    def __init__(self):\n        self.slot = HolderK()\n        self.slot.rateK = V\n    def forward(self): return self.slot.rateK\nnetK = NetK()"),
        "netK()",
        "netK.slot.rateK = W",
        None,
    ),
    "dataclass that is a module": (
        dict(module="@dataclasses.dataclass\nclass NetK(nn.Module):\n    rateK: object\n    def forward(self): return self.rateK\nnetK = NetK(V)"),
        "netK()",
        "netK.rateK = W",
        None,
    ),
    "module in a given dict": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.rateK = V\n    def forward(self): return self.rateK\nnetK = NetK()", given="{'net': netK}"),
        "givenK['net']()",
        "netK.rateK = W",
        None,
    ),
    "subclass of an optimizer": (
        dict(module="class OptK(optim.SGD):\n    rateK = V\noptK = OptK([Tensor([1.0])], lr=0.1)"),
        "optK.rateK",
        "optK.rateK = W",
        None,
    ),
    "builtin": (dict(module="builtins.rateK = V"), "rateK", "builtins.rateK = W", "rateK"),
    "global by its text": (
        dict(module="RATEK = V"),
        "globals()['RATEK']",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "module by its name": (
        dict(module="RATEK = V"),
        "sys.modules[__name__].RATEK",
        "global RATEK; RATEK = W",
        "RATEK",
    ),
    "attribute by its text": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V"),
        "getattr(holderK, 'ra' + 'teK')",
        "holderK.rateK = W",
        "rateK",
    ),
    "attributes as a dict": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V"),
        "vars(holderK)['rateK']",
        "holderK.rateK = W",
        "rateK",
    ),
    "evaluated": (dict(module="RATEK = V"), "eval('RATEK')", "global RATEK; RATEK = W", "RATEK"),
    "plain attribute of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.rateK = V\n    def forward(self): return self.rateK\nnetK = NetK()"),
        "netK()",
        "netK.rateK = W",
        None,
    ),
    "attribute of a module in a cell": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.rateK = V\n    def forward(self): return self.rateK", outer="netK = NetK()"),
        "netK()",
        "netK.rateK = W",
        None,
    ),
    "hidden attribute of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self._rateK = V\n    def forward(self): return self._rateK\nnetK = NetK()"),
        "netK()",
        "netK._rateK = W",
        None,
    ),
    "attribute of a child": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.rateK = V\n    def forward(self, v): return self.rateK\nnetK = nn.Sequential(nn.Identity(), NetK())"),
        "netK(1.0)",
        "netK[1].rateK = W",
        None,
    ),
    "config of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.config = {'rateK': V}\n    def forward(self): return self.config['rateK']\nnetK = NetK()"),
        "netK()",
        "netK.config['rateK'] = W",
        None,
    ),
    "helper of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.config = types.SimpleNamespace(rateK=V)\n    def forward(self): return self.config.rateK\nnetK = NetK()"),
        "netK()",
        "netK.config.rateK = W",
        None,
    ),
    "list of a module": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.parts = [1.0, V]\n    def forward(self): return self.parts[1]\nnetK = NetK()"),
        "netK()",
        "netK.parts[1] = W",
        None,
    ),
    "module in a container": (
        dict(module="class NetK(nn.Module):\n    def __init__(self, rate): self.rateK = rate\n    def forward(self): return self.rateK\nNETSK = {'a': [NetK(V)]}"),
        "NETSK['a'][0]()",
        "NETSK['a'][0].rateK = W",
        None,
    ),
    "module of an object": (
        dict(module="class NetK(nn.Module):\n    def __init__(self, rate): self.rateK = rate\n    def forward(self): return self.rateK\nclass TrainerK:\n    def __init__(self): self.net = NetK(V)\ntrainerK = TrainerK()"),
        "trainerK.net()",
        "trainerK.net.rateK = W",
        None,
    ),
    "module that is replaced": (
        dict(module="class NetK(nn.Module):\n    def __init__(self, rate): self.rateK = rate\n    def forward(self): return self.rateK\nnetK = NetK(V)"),
        "netK()",
        "global netK; netK = NetK(W)",
        None,
    ),
    "class of a module": (
        dict(module="class NetK(nn.Module):\n    rateK = V\n    def forward(self): return self.rateK\nnetK = NetK()"),
        "netK()",
        "NetK.rateK = W",
        None,
    ),
    "module that is given": (
        dict(module="class NetK(nn.Module):\n    def __init__(self): self.rateK = V\n    def forward(self): return self.rateK\nnetK = NetK()", given="netK"),
        "givenK()",
        "netK.rateK = W",
        None,
    ),
    "group of an optimizer": (
        dict(module="optK = optim.SGD([Tensor([1.0])], lr=0.1)\noptK.param_groups[0]['rateK'] = V"),
        "optK.param_groups[0]['rateK']",
        "optK.param_groups[0]['rateK'] = W",
        None,
    ),
    "attribute of an optimizer": (
        dict(module="optK = optim.Adam([Tensor([1.0])], lr=0.1)\noptK.rateK = V"),
        "optK.rateK",
        "optK.rateK = W",
        None,
    ),
    "argument: attribute": (
        dict(module="class HolderK: pass\nholderK = HolderK()\nholderK.rateK = V", given="holderK"),
        "givenK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "argument: dataclass": (
        dict(module="@dataclasses.dataclass\nclass HolderK:\n    rateK: object\nholderK = HolderK(V)", given="holderK"),
        "givenK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "argument: namespace": (
        dict(module="holderK = types.SimpleNamespace(rateK=V)", given="holderK"),
        "givenK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "argument: slot": (
        dict(module="class HolderK:\n    __slots__ = ('rateK',)\nholderK = HolderK()\nholderK.rateK = V", given="holderK"),
        "givenK.rateK",
        "holderK.rateK = W",
        "rateK",
    ),
    "argument: dict": (dict(module="tableK = {'a': V}", given="tableK"), "givenK['a']", "tableK['a'] = W", None),
    "argument: nest": (dict(module="tableK = {'a': [1.0, (V,)]}", given="tableK"), "givenK['a'][1][0]", "tableK['a'][1] = (W,)", None),
    "argument: itself": (dict(module="cellK = [V]"), "givenK", "cellK[0] = W; GIVEN[AT] = W", None),
    "argument: method": (
        dict(module="class HolderK:\n    def __init__(self): self.rateK = V\n    def get(self): return self.rateK\nholderK = HolderK()", given="holderK.get"),
        "givenK()",
        "holderK.rateK = W",
        "rateK",
    ),
    "argument: cell of a function": (
        dict(module="def makeK():\n    rateK = V\n    def get(): return rateK\n    def put(v):\n        nonlocal rateK\n        rateK = v\n    return get, put\ngetK, putK = makeK()", given="getK"),
        "givenK()",
        "putK(W)",
        "rateK",
    ),
}
# What belongs to the process: (how it is set up, read and changed, words)
ENVIRONMENT = [
    ("os.environ['RATEK'] = '2.0'", "float(os.environ['RATEK'])", "os.environ['RATEK'] = '3.0'", "environ"),
    ("os.environ['RATEK'] = '2.0'", "float(os.getenv('RATEK'))", "os.environ['RATEK'] = '3.0'", "environ"),
    ("os.environ['RATEK'] = '2.0'", "float(os.environ.get('RATEK', '5.0'))", "os.environ.pop('RATEK', None)", "environ"),
    ("", "float(os.environ.get('RATEK', '5.0'))", "os.environ['RATEK'] = '3.0'", "environ"),
    ("", "(2.0 if 'RATEK' in os.environ else 3.0)", "os.environ['RATEK'] = '3.0'", "environ"),
    ("", "len(os.getcwd())", "os.chdir('/')", "getcwd"),
    ("sys.argv = ['a']", "len(sys.argv)", "sys.argv.append('b')", "argv"),
    ("", "decimal.getcontext().prec", "decimal.getcontext().prec = 7", "getcontext|prec"),
    ("", "len(np.geterr()['over'])", "np.seterr(over='print')", "geterr"),
    ("", "len(threading.current_thread().name)", "threading.current_thread().name = 'another name'", "name"),
    ("fileK = os.path.join(FOLDER, 'rateK')\nopen(fileK, 'w').write('2.0')", "float(open(fileK).read())", "open(fileK, 'w').write('3.0')", "open"),
    ("fileK = pathlib.Path(FOLDER, 'rateK')\nfileK.write_text('2.0')", "float(fileK.read_text())", "fileK.write_text('3.0')", "read_text"),
    ("fileK = os.path.join(FOLDER, 'rateK.npy')\nnp.save(fileK, np.ones(3))", "np.load(fileK)", "np.save(fileK, np.full(3, 2.0))", "load"),
    ("", "len(random.Random(len(os.listdir(FOLDER))).choices('ab', k=3))", "open(os.path.join(FOLDER, 'another'), 'w')", "listdir"),
]
READS = ["{}", "{}", "{}", "{}", "(lambda: {})()", "[{} for _ in (0,)][0]", "next(v for v in ({},))"]




# ── questions about what is traced ────────────────────────────────────────────────────────────────

# `Q` is asked: an array, a number that was computed, an argument. Each has an answer that decides.
QUESTIONS = """
isinstance(Q, float)
isinstance(Q, int)
isinstance(Q, (int, float))
isinstance(Q, complex)
isinstance(Q, bool)
isinstance(Q, str)
isinstance(Q, (list, tuple))
isinstance(Q, np.floating)
isinstance(Q, np.float64)
isinstance(Q, np.integer)
isinstance(Q, np.generic)
isinstance(Q, np.ndarray)
isinstance(Q, (np.ndarray, np.generic))
isinstance(Q, float | np.ndarray)
isinstance(Q, Tensor)
isinstance(Q, numbers.Number)
isinstance(Q, numbers.Real)
isinstance(Q, numbers.Integral)
isinstance(Q, collections.abc.Sequence)
isinstance(Q, collections.abc.Iterable)
isinstance(Q, collections.abc.Hashable)
isinstance(Q, collections.abc.Sized)
isinstance(Q, collections.abc.Callable)
type(Q) is float
type(Q) is int
type(Q) is np.float64
type(Q) is np.ndarray
type(Q) == type(x)
type(Q) in (int, float)
type(Q).__name__ == "float"
type(Q).__module__ == "numpy"
issubclass(type(Q), np.ndarray)
issubclass(type(Q), (int, float))
Q.__class__ is np.ndarray
Q.__class__ is float
Q.__class__.__name__ == "float64"
np.isscalar(Q)
np.iterable(Q)
np.ndim(Q) == 0
np.shape(Q) == ()
np.size(Q) == 1
np.isrealobj(Q)
np.iscomplexobj(Q)
np.issubdtype(np.result_type(Q), np.floating)
np.result_type(Q) == np.float64
np.can_cast(np.result_type(Q), np.float32)
np.array(Q).ndim == 0
callable(Q)
hasattr(Q, "shape")
hasattr(Q, "dtype")
hasattr(Q, "__len__")
hasattr(Q, "__array__")
hasattr(Q, "__array_ufunc__")
hasattr(Q, "__iter__")
hasattr(Q, "__index__")
hasattr(Q, "__float__")
hasattr(Q, "__hash__")
hasattr(Q, "item")
hasattr(Q, "tolist")
hasattr(Q, "is_integer")
hasattr(Q, "step")
hasattr(Q, "recorder")
hasattr(Q, "requires_grad")
hasattr(Q, "__dict__")
hasattr(Q, "as_integer_ratio")
getattr(Q, "ndim", 5) == 5
getattr(Q, "shape", None) is None
getattr(Q, "flags", None) is None
getattr(Q, "nothing", None) is None
Q is x
Q is y
Q is a
Q is None
Q is True
Q == None
Q in (None,)
x is x * 1.0
id(Q) == id(x)
id(Q) == id(a)
hash(Q) == hash(1.0)
hash(Q) % 2 == 0
Q in {1.0, 2.0}
Q in {0.0: 1, 1.0: 2, -1.0: 3}
Q in [1.0, 2.0]
Q in (0, 1)
{0: 5.0, 1: 7.0, 2: 9.0}.get(Q) is None
len({Q, 1.0, 2.0}) == 2
len(set((Q, a))) == 1
{Q: 1.0}.get(1.0) is None
dict([(Q, 2.0)]).get(2.0) is not None
len(str(Q)) > 4
str(Q)[0] == "-"
repr(Q).startswith("-")
"." in repr(Q)
"array" in repr(Q)
f"{Q}"[:1] == "-"
"%s" % (Q,) == "1.0"
"%.1f" % Q == "1.0"
"{:.2f}".format(Q) == "2.00"
f"{Q!r}"[:2] == "np"
f"{Q:.0f}" == "1"
format(Q, ".1f") == "2.0"
str(Q).isalpha()
len(ascii(Q)) > 5
json.dumps(Q) == "1.0"
bool(Q)
not Q
Q > 0
Q == 1.0
Q < a
Q != Q
0 < Q < 1
(Q and 1.0) == 1.0
(Q or 2.0) == 2.0
all([Q, True])
any([Q > 0, False])
math.isnan(Q)
math.isclose(Q, 1.0)
math.floor(Q) == 1
math.ceil(Q) == 1
math.trunc(Q) == 1
math.copysign(1.0, Q) < 0
math.sqrt(abs(Q)) > 1
round(Q) == 1
round(Q, 1) == 1.0
int(Q) == 1
float(Q) > 0.9
complex(Q).real > 0.9
abs(Q) > 1
divmod(Q, 2)[0] > 0
max(Q, 1.0) > 1.0
min(1.0, Q) == 1.0
sorted([Q, 1.0])[0] == 1.0
list(range(int(Q))) == [0]
operator.truth(Q)
operator.eq(Q, 1.0)
operator.gt(Q, 0.0)
[10.0, 20.0, 30.0].index(10.0) == Q
(1.0, 2.0).count(Q) == 1
Q.is_integer()
Q.as_integer_ratio() == (1, 1)
Q.hex()[0] == "-"
Q.item() > 0
Q.tolist() == 1.0
Q.any()
Q.all()
Q.max() > 1.0
Q.flags.writeable
Q.flags.c_contiguous
Q.flags.owndata
Q.base is None
Q.strides == (8,)
Q.T is Q
Q.real is Q
Q.tobytes() == b"a"
Q.dtype == float
Q.dtype.kind == "f"
Q.dtype.type is np.float64
Q.ndim == 1
Q.size == 3
Q.nbytes == 24
Q.shape == (3,)
len(Q) == 3
Q.itemsize == 8
copy.copy(Q) is Q
copy.deepcopy(Q) is Q
np.asarray(Q) is Q
np.ascontiguousarray(Q) is Q
np.array(Q, copy=None) is Q
np.shares_memory(Q, x)
np.may_share_memory(Q, x)
np.array_equal(Q, x)
np.allclose(Q, x)
np.array_equiv(Q, 1.0)
np.all(Q > 0)
np.any(np.isnan(Q))
np.argmax(Q) == 0
np.count_nonzero(Q) > 1
np.unique(Q).size > 1
np.nonzero(Q)[0].size > 1
len(pickle.dumps(Q)) > 100
type(Q)(1.0) == 1.0
tuple(np.atleast_1d(Q))[0] > 0.5
list(np.atleast_1d(Q))[0] == 1.0
next(iter(np.atleast_1d(Q))) > 0.5
dataclasses.is_dataclass(Q)
"dtype" in dir(Q)
sys.getsizeof(Q) > 100
actK(Q) == 2.0
matchedK(Q) == 1
valuesK(Q) == 1
""".strip().splitlines()
# What is tried, where an error of Python's own decides: `triesK(lambda: …)`.
TRIED = """
len(Q)
iter(Q)
list(Q)
Q[0]
Q[5]
Q[0, 0]
Q["a"]
Q.append(1)
Q.keys()
Q.nothing
Q.shape[1]
Q.shape[0]
Q()
Q + "a"
Q * "a"
Q + None
Q < "a"
Q @ Q
Q & 1
~Q
Q << 1
Q[0].nothing
next(Q)
range(Q)
[1.0][Q]
Q.reshape(7)
Q.sum(axis=3)
np.sum(Q, axis=1)
np.concatenate([Q, Q])
np.broadcast_to(Q, (2,))
np.linalg.inv(Q)
np.linalg.det(Q)
np.stack([Q, x])
np.dot(Q, np.ones(5))
Q + np.ones(5)
operator.index(Q)
math.sqrt(Q)
Q.__len__()
Q.__index__()
del_itemK(Q)
Q.shape.nothing
""".strip().splitlines()
QUESTIONS += [f"triesK(lambda: {asked})" for asked in TRIED]
ASKED = """
def triesK(ask):
    try:
        ask()
        return True
    except (TypeError, AttributeError, IndexError, KeyError, ValueError):
        return False

def del_itemK(v):
    del v[0]

@functools.singledispatch
def actK(v): return 1.0
actK.register(float, lambda v: 2.0)
actK.register(np.ndarray, lambda v: 3.0)

def matchedK(v):
    match v:
        case float(): return 1
        case np.ndarray(): return 2
        case [_, *_]: return 3
        case _: return 4

def valuesK(v):
    match v:
        case 1 | 1.0: return 1
        case 2.0: return 2
        case -1.0: return 3
    return 4
"""
SUBJECTS = ["x", "y", "a", "n", "np.sum(y)", "np.sum(x)", "np.max(y)", "y.ravel()[0]", "(a * 2.0)", "np.sin(a)", "x[0]", "(x * 1.0)", "(y + 0.0)", "np.float64(a)", "x.mean()", "(n + 1)", "(a > 0.5)"]
ANSWERS = [
    "y = y * (2.0 if {} else 3.0)",
    "if {}: y = y + 1.0",
    "y = y * [2.0, 3.0][bool({})]",
    "if isinstance({s}, (int, float)) and {s} <= 0: raise ValueError('must be above 0')",
    "if not isinstance({s}, (int, float, np.floating)): raise TypeError('a number, please')",
    "y = y + {{True: 1.0, False: 2.0}}[bool({})]",
    "while {}: y = y + 1.0; break",
    "assert isinstance({s}, object) and ({}) in (True, False)",
]

# ── refusals that are swallowed ───────────────────────────────────────────────────────────────────

ASKS = """
float(np.max(x))
float(a)
int(a)
bool(np.sum(x) > 1.0)
(1.0 if np.sum(x) > 1.0 else 2.0)
(1.0 if a > 1.0 else 2.0)
x.tolist()[0]
np.max(x).item()
float(f"{a:.3f}")
float(str(a))
float("%.2f" % a)
len(repr(a))
hash(a) % 5
{1.0: 2.0, 0.0: 3.0}[a]
[1.0, 2.0][int(a)]
math.floor(a)
math.exp(a)
round(float(a), 1)
np.asarray(x).flat[0]
float(np.array(a))
sorted(x.ravel())[0] * 1.0
max(x.ravel()) * 1.0
operator.index(np.argmax(x)) * 1.0
[1.0, 2.0, 4.0, 8.0][np.argmax(x)]
complex(a).real
len(list(range(int(np.sum(x > 0.5)))))
json.loads(json.dumps(a))
fractions.Fraction(a).numerator % 3
decimal.Decimal(a) > 1
np.array([1.0, 2.0, 4.0, 8.0])[np.argmax(x)]
float(np.linalg.norm(x))
next(float(v) for v in x.ravel())
statisticsK(x)
""".strip().splitlines()
SWALLOWED = "def statisticsK(v): return float(sum(float(c) for c in v.ravel())) / v.size\n"
# `A` is asked; `cK` is what came of it.
SWALLOWERS = [
    ("", "try:\n    cK = A\nexcept Exception:\n    cK = 0.5"),
    ("", "try:\n    cK = A\nexcept TypeError:\n    cK = 0.5"),
    ("", "try:\n    cK = A\nexcept (TypeError, ValueError, KeyError) as error:\n    cK = 0.5"),
    ("", "try:\n    cK = A\nexcept:\n    cK = 0.5"),
    ("", "try:\n    cK = A\nexcept BaseException:\n    cK = 0.5"),
    ("", "try:\n    cK = A\nexcept* TypeError:\n    cK = 0.5\nexcept* KeyError:\n    cK = 0.25"),
    ("", "cK = 0.5\nwith contextlib.suppress(Exception):\n    cK = A"),
    ("", "cK = 0.5\nwith contextlib.suppress(TypeError, KeyError):\n    cK = A"),
    (
        "class QuietK:\n    def __enter__(self): return self\n    def __exit__(self, *error): return True",
        "cK = 0.5\nwith QuietK():\n    cK = A",
    ),
    (
        "def lastK(ask):\n    value = 0.5\n    try:\n        value = ask()\n    finally:\n        return value",
        "cK = lastK(lambda: A)",
    ),
    (
        "def firstK(*asks):\n    for ask in asks:\n        try:\n            return ask()\n        except Exception:\n            continue",
        "cK = firstK(lambda: A, lambda: 0.5)",
    ),
    (
        "@contextlib.contextmanager\ndef quietK():\n    try:\n        yield\n    except Exception:\n        pass",
        "cK = 0.5\nwith quietK():\n    cK = A",
    ),
    (
        "",
        "with concurrent.futures.ThreadPoolExecutor(1) as poolK:\n    doneK = poolK.submit(lambda: A)\ncK = 0.5 if doneK.exception() else doneK.result()",
    ),
    (
        "async def askK(ask): return ask()\nasync def gatherK(ask): return (await asyncio.gather(askK(ask), return_exceptions=True))[0]",
        "cK = asyncio.run(gatherK(lambda: A))\ncK = 0.5 if isinstance(cK, Exception) else cK",
    ),
    (
        "",
        "cK = []\nthreadK = threading.Thread(target=lambda: cK.append(A))\nthreadK.start(); threadK.join()\ncK = cK[0] if cK else 0.5",
    ),
    (
        "class AtEndK:\n    def __init__(self, ask): self.ask = ask\n    def __del__(self): self.ask()",
        "cK = []\nendK = AtEndK(lambda: cK.append(A))\ndel endK\ncK = cK[0] if cK else 0.5",
    ),
    ("", "try:\n    cK = A\nexcept Exception as error:\n    raise RuntimeError('mine') from error"),
    ("", "try:\n    cK = A\nexcept TypeError:\n    raise ValueError('mine') from None"),
    ("", "try:\n    cK = A\nfinally:\n    y = y * 1.0"),
    ("", "try:\n    cK = A\nexcept Exception as error:\n    cK = len(str(error)) * 1.0"),
    ("", "try:\n    cK = A\nexcept Exception:\n    return y"),
    (
        "streamK = io.StringIO()\nlogK = logging.Logger('mine')\nlogK.addHandler(logging.StreamHandler(streamK))",
        "logK.warning('it is %d', a)\ncK = 1.0",
    ),
    (
        "streamK = io.StringIO()\nlogK = logging.Logger('mine')\nlogK.addHandler(logging.StreamHandler(streamK))",
        "logK.info('the largest: %s', np.max(x))\ncK = 1.0",
    ),
    (
        "logK = logging.Logger('mine', logging.WARNING)\nlogK.addHandler(logging.NullHandler())",
        "logK.warning('it is %.3f', a)\ncK = 1.0",
    ),
    ("logK = logging.Logger('mine', logging.ERROR)", "logK.debug('it is %.3f', a)\ncK = 1.0"),
    (
        "class HandlerK(logging.Handler):\n    last = 0.5\n    def emit(self, record):\n        try:\n            self.last = float(len(self.format(record)))\n        except Exception:\n            self.last = 0.25\nhandlerK = HandlerK()\nlogK = logging.Logger('mine')\nlogK.addHandler(handlerK)",
        "logK.warning('%s', a)\ncK = handlerK.last",
    ),
]

# ── effects ───────────────────────────────────────────────────────────────────────────────────────

# (module, outer, body)
EFFECTS = [
    ("COUNTK = 0\ndef countK():\n    global COUNTK\n    COUNTK += 1\n    return COUNTK", "", "y = y * countK()"),
    ("", "countK = 0", "nonlocal countK; countK += 1; y = y * countK"),
    ("LOGK = []", "", "LOGK.append(1.0); y = y * len(LOGK)"),
    ("LOGK = []", "", "LOGK.append(y); y = y * len(LOGK)"),
    ("LOGK = []", "", "LOGK.append(np.sum(y)); y = y + LOGK[0]"),
    ("LOGK = []", "", "if len(LOGK) < 3: LOGK.append(2.0)\ny = y * sum(LOGK)"),
    ("CACHEK = {}", "", "CACHEK[len(CACHEK)] = 1.0; y = y * len(CACHEK)"),
    ("CACHEK = {}", "", "y = y * CACHEK.setdefault('first', 2.0)"),
    ("CACHEK = {}", "", "if 'first' not in CACHEK: CACHEK['first'] = np.sum(y)\ny = y + CACHEK['first']"),
    ("CACHEK = {}", "", "CACHEK['last'] = y"),
    ("CACHEK = {}", "", "CACHEK['mean'] = 0.9 * CACHEK.get('mean', 0.0) + 0.1 * np.mean(y); y = y - CACHEK['mean']"),
    ("class HolderK: calls = 0\nholderK = HolderK()", "", "holderK.calls += 1; y = y * holderK.calls"),
    ("class HolderK: calls = 0", "", "HolderK.calls += 1; y = y * HolderK.calls"),
    ("class HolderK: last = 0.0\nholderK = HolderK()", "", "y = y + holderK.last; holderK.last = np.sum(y)"),
    ("class HolderK:\n    def __init__(self): self.last = np.zeros(3)\nholderK = HolderK()", "", "y = y + holderK.last; holderK.last = np.ones(3)"),
    ("SEENK = set()", "", "SEENK.add(len(SEENK)); y = y * len(SEENK)"),
    ("QUEUEK = collections.deque([1.0, 2.0, 3.0])", "", "QUEUEK.rotate(1); y = y * QUEUEK[0]"),
    ("BUFFERK = np.zeros(3)", "", "BUFFERK[...] = x; y = y + BUFFERK"),
    ("BUFFERK = np.zeros(3)", "", "np.add(BUFFERK, 1.0, out=BUFFERK); y = y + BUFFERK"),
    ("BUFFERK = np.zeros(3)", "", "np.add(BUFFERK, x, out=BUFFERK); y = y + BUFFERK"),
    ("BUFFERK = np.zeros(3)", "", "np.copyto(BUFFERK, x); y = y + BUFFERK"),
    ("BUFFERK = np.zeros(3)", "", "y = y + BUFFERK; BUFFERK[0] = 5.0"),
    ("def helperK(v, memory=[]):\n    memory.append(1.0)\n    return v * len(memory)", "", "y = helperK(y)"),
    ("def helperK(v):\n    helperK.calls = getattr(helperK, 'calls', 0) + 1\n    return v * helperK.calls", "", "y = helperK(y)"),
    ("ENDLESSK = itertools.count(1)", "", "y = y * next(ENDLESSK)"),
    ("CYCLEK = itertools.cycle([1.0, 2.0])", "", "y = y * next(CYCLEK)"),
    ("def ratesK():\n    c = 1.0\n    while True:\n        yield c\n        c += 1.0\nCOUNTERK = ratesK()", "", "y = y * next(COUNTERK)"),
    ("ITERATORK = iter([float(c) for c in range(1, 99)])", "", "y = y * next(ITERATORK)"),
    ("", "", "y = y * random.random()"),
    ("", "", "y = y + random.gauss(0.0, 1.0)"),
    ("", "", "y = y * random.choice([1.0, 2.0, 3.0])"),
    ("", "", "y = y * np.random.rand()"),
    ("", "", "y = y + np.random.normal(size=3)"),
    ("RNGK = np.random.default_rng(1)", "", "y = y * RNGK.random()"),
    ("RNGK = np.random.default_rng(1)", "", "y = y + RNGK.normal(size=3)"),
    ("RNGK = np.random.default_rng(1)", "", "y = y + RNGK.permutation(3) + RNGK.integers(5)"),
    ("RNGK = np.random.default_rng(1)", "", "cK = np.arange(3.0); RNGK.shuffle(cK); y = y + cK"),
    ("RNGK = np.random.RandomState(1)", "", "y = y * RNGK.rand() + RNGK.randn(3)"),
    ("RNGK = random.Random(1)", "", "y = y * RNGK.random()"),
    ("RNGK = random.Random(1)", "", "y = y + [1.0, 2.0, 3.0][RNGK.randrange(3)]"),
    ("", "rngK = np.random.default_rng(1)", "y = y * rngK.random()"),
    ("", "rngK = random.Random(1)", "y = y * rngK.random()"),
    ("RNGSK = [np.random.default_rng(1)]", "", "y = y * RNGSK[0].random()"),
    ("RNGSK = {'a': random.Random(1)}", "", "y = y * RNGSK['a'].random()"),
    ("class HolderK:\n    def __init__(self): self.rng = np.random.default_rng(1)\n    def noise(self): return self.rng.normal(size=3)\nholderK = HolderK()", "", "y = y + holderK.noise()"),
    ("class HolderK:\n    __slots__ = ('rng',)\nholderK = HolderK()\nholderK.rng = random.Random(1)", "", "y = y * holderK.rng.random()"),
    ("drawK = np.random.default_rng(1).random", "", "y = y * drawK()"),
    ("drawK = functools.partial(random.Random(1).uniform, 1.0, 2.0)", "", "y = y * drawK()"),
    ("def drawK(rng=np.random.default_rng(1)): return rng.random()", "", "y = y * drawK()"),
    ("VARK = contextvars.ContextVar('countK', default=1.0)", "", "VARK.set(VARK.get() + 1.0); y = y * VARK.get()"),
    ("os.environ['COUNTK'] = '1'", "", "os.environ['COUNTK'] = str(int(os.environ['COUNTK']) + 1); y = y * int(os.environ['COUNTK'])"),
    ("STREAMK = io.StringIO()", "", "STREAMK.write('a'); y = y * len(STREAMK.getvalue())"),
    ("", "", "print('called')"),
    ("LISTK = [1.0, 2.0, 3.0, 4.0]", "", "y = y * LISTK[0]; LISTK.append(LISTK.pop(0))"),
    ("LISTK = [3.0, 1.0, 2.0]", "", "y = y * LISTK[0]; LISTK.sort()"),
    ("TOGGLEK = {'on': True}", "", "TOGGLEK['on'] = not TOGGLEK['on']; y = y * (2.0 if TOGGLEK['on'] else 3.0)"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = y * tK.data; tK.data = tK.data * 0.5"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "np.sum(tK * 3.0).backward(); y = y * tK.grad"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "tK.grad = np.ones(3); y = y * tK.data"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = y * (2.0 if tK.requires_grad else 3.0); tK.requires_grad = not tK.requires_grad"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = tK.data; tK.data = tK.data - x"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y, tK.data = tK.data, x * 2.0"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "tK.data = x * 2.0; y = tK.data"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = tK.data[::-1]; tK.data = tK.data - x"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = (tK.data, tK.data * 1.0); tK.data -= x; y = y[1]"),
    ("tK, uK = Tensor([1.0, 2.0, 3.0]), Tensor([4.0, 5.0, 6.0])", "", "tK.data, uK.data = uK.data, tK.data; y = y * tK.data"),
    ("tK, uK = Tensor([1.0, 2.0, 3.0]), Tensor([4.0, 5.0, 6.0])", "", "tK.data = uK.data; uK.data = uK.data + x"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "np.sum(tK * x).backward(); y = tK.grad; tK.grad = None"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "y = tK.grad; np.sum(tK * x).backward(); y = x if y is None else y"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "np.sum(tK * x).backward(); tK.grad = tK.grad * 0.5; y = tK.grad"),
    ("tK = Tensor([1.0, 2.0, 3.0])", "", "np.sum(tK * x).backward(); y = y + tK.grad; tK.data = tK.data - 0.1 * tK.grad; tK.grad = None"),
    ("class LastK(nn.Module):\n    def __init__(self): self.last = np.zeros(3)\n    def forward(self, v):\n        before, self.last = self.last, v * 1.0\n        return before\nnetK = LastK()", "", "y = netK(y)"),
    ("class PairK(nn.Module):\n    def __init__(self): self.a, self.b = np.zeros(3), np.ones(3)\n    def forward(self, v):\n        self.a, self.b = self.b, self.a + v\n        return self.a * v\nnetK = PairK()", "", "y = netK(y)"),
    ("class KeepsK(nn.Module):\n    def __init__(self): self.kept = None\n    def forward(self, v):\n        self.kept = v if self.kept is None else 0.5 * (self.kept + v)\n        return self.kept\nnetK = KeepsK()", "", "y = netK(y)"),
    ("class TallyK(nn.Module):\n    def __init__(self): self.seen = {'n': 0, 'sum': 0.0}\n    def forward(self, v):\n        self.seen['n'] += 1\n        self.seen['sum'] += np.sum(v)\n        return v * self.seen['n']\nnetK = TallyK()", "", "y = netK(y)"),
    ("class ListsK(nn.Module):\n    def __init__(self): self.seen = []\n    def forward(self, v):\n        self.seen.append(v.shape)\n        return v * len(self.seen)\nnetK = ListsK()", "", "y = netK(y)"),
    ("MEMOK = {}\ndef memoizedK(n):\n    if n not in MEMOK: MEMOK[n] = float(len(MEMOK)) + 1.0\n    return MEMOK[n]", "", "y = y * memoizedK('a') * memoizedK('b')"),
    ("@functools.lru_cache\ndef cachedK(size): return np.arange(float(size))", "", "y = y + cachedK(3)"),
    ("class LazyK:\n    @functools.cached_property\n    def table(self): return np.arange(3.0)\nlazyK = LazyK()", "", "y = y + lazyK.table"),
    ("class CountingK(nn.Module):\n    def __init__(self): self.calls = 0\n    def forward(self, v):\n        self.calls += 1\n        return v * self.calls\nnetK = CountingK()", "", "y = netK(y)"),
    ("class AverageK(nn.Module):\n    def __init__(self): self.mean = np.zeros(3)\n    def forward(self, v):\n        self.mean = 0.9 * self.mean + 0.1 * v\n        return v - self.mean\nnetK = AverageK()", "", "y = netK(y)"),
    ("", "", "np.add(x, 1.0, out=x); y = y + x"),
    ("", "", "x[0] = 5.0; y = y + x"),
    ("", "", "x *= 2.0; y = y + x"),
]
# Arguments that are changed: (module, given, body)
CHANGED_ARGUMENTS = [
    ("", "[1.0, 2.0]", "givenK.append(3.0); y = y * sum(givenK)"),
    ("", "{'a': 1.0}", "givenK['a'] += 1.0; y = y * givenK['a']"),
    ("", "{'a': np.ones(3)}", "givenK['a'] = givenK['a'] * 2.0; y = y * givenK['a']"),
    ("", "[np.ones(3)]", "givenK[0] += 1.0; y = y * givenK[0]"),
    ("", "types.SimpleNamespace(a=1.0)", "givenK.a += 1.0; y = y * givenK.a"),
    ("", "np.ones(3)", "givenK += 1.0; y = y * givenK"),
    ("", "{1.0, 2.0}", "givenK.add(float(len(givenK) + 5)); y = y * len(givenK)"),
    ("", "collections.deque([1.0, 2.0])", "givenK.rotate(); y = y * givenK[0]"),
    ("", "Tensor([1.0, 2.0, 3.0])", "givenK.data = givenK.data * 0.5; y = y * givenK.data"),
    ("", "Tensor([1.0, 2.0, 3.0])", "np.sum(givenK**2).backward(); y = y * givenK.grad"),
    ("", "np.random.default_rng(1)", "y = y * givenK.random() + givenK.normal(size=3)"),
    ("", "np.random.RandomState(1)", "y = y * givenK.rand()"),
    ("", "random.Random(1)", "y = y * givenK.random()"),
    ("", "itertools.count(1)", "y = y * next(givenK)"),
    ("", "[np.random.default_rng(1)]", "y = y * givenK[0].random()"),
    ("", "iter([float(c) for c in range(1, 99)])", "y = y * next(givenK)"),
    ("", "io.StringIO()", "givenK.write('a'); y = y * len(givenK.getvalue())"),
]
# Arguments that stay: (given, body)
ARGUMENTS = [
    ("np.array([1, 2, 3])", "y = y * givenK"),
    ("np.array([True, False, True])", "y = np.where(givenK, y, -y)"),
    ("np.array([1.0 + 2.0j, 0.0, 1.0])", "y = y * givenK"),
    ("np.ones(3, np.float32)", "y = y * givenK"),
    ("np.ones(3, np.float16)", "y = y * givenK"),
    ("np.ones(3, '>f8') * 2.0", "y = y * givenK"),
    ("np.array([1.0, 2.0, 3.0]).astype('>f8')", "y = y * givenK"),
    ("np.arange(6.0)[::2]", "y = y * givenK"),
    ("np.arange(3.0)[::-1]", "y = y * givenK"),
    ("np.arange(9.0).reshape(3, 3).T", "y = givenK @ (y * np.ones(3))"),
    ("np.asfortranarray(np.arange(9.0).reshape(3, 3))", "y = givenK @ (y * np.ones(3))"),
    ("np.array(2.0)", "y = y * givenK"),
    ("np.zeros((0, 3))", "y = y + np.sum(givenK)"),
    ("np.float32(2.0)", "y = y * givenK"),
    ("np.int64(2)", "y = y * givenK"),
    ("np.bool_(True)", "y = np.where(givenK, y, -y)"),
    ("np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1])", "y = y + givenK.sum()"),
    ("np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1])", "y = y * givenK"),
    ("np.matrix([[1.0, 2.0], [3.0, 4.0]])", "y = y + (givenK * givenK).sum()"),
    ("np.array(['a', 'b'])", "y = y * len(givenK)"),
    ("np.array([1.0, None], object)", "y = y * givenK.size"),
    ("np.array(['2020-01-01'], 'M8[D]')", "y = y * givenK.size"),
    ("np.array([(1.0, 2.0)], dtype=[('a', 'f8'), ('b', 'f8')])", "y = y * givenK['a'][0]"),
    ("'sin'", "y = getattr(np, givenK)(y)"),
    ("b'ab'", "y = y * len(givenK)"),
    ("None", "y = y if givenK is None else -y"),
    ("True", "y = y if givenK else -y"),
    ("3", "y = y ** givenK"),
    ("3", "y = y * len(range(givenK))"),
    ("10**30", "y = y + 1.0 / givenK"),
    ("2.5", "y = y * givenK"),
    ("1.0 + 2.0j", "y = y * givenK"),
    ("float('nan')", "y = y * np.isnan(givenK)"),
    ("float('inf')", "y = y / givenK"),
    ("fractions.Fraction(1, 2)", "y = y * float(givenK)"),
    ("decimal.Decimal('1.5')", "y = y * float(givenK)"),
    ("range(3)", "for c in givenK: y = y + c"),
    ("slice(0, 2)", "y = y + np.sum(np.arange(3.0)[givenK])"),
    ("...", "y = y[givenK]"),
    ("np.dtype('f4')", "y = (y * np.ones(3)).astype(givenK)"),
    ("np.float32", "y = (y * np.ones(3)).astype(givenK)"),
    ("np.sin", "y = givenK(y)"),
    ("np.add", "y = givenK(y, 1.0)"),
    ("(lambda v: v * 2.0)", "y = givenK(y)"),
    ("functools.partial(np.multiply, 2.0)", "y = givenK(y)"),
    ("Mode.B", "y = y * givenK.value"),
    ("Mode", "y = y * givenK.A.value"),
    ("{1.0, 2.0}", "y = y * sum(sorted(givenK))"),
    ("frozenset({1.0})", "y = y * max(givenK)"),
    ("collections.deque([1.0, 2.0])", "y = y * sum(givenK)"),
    ("collections.OrderedDict(a=1.0, b=2.0)", "for c in givenK.values(): y = y * c + 1.0"),
    ("collections.defaultdict(float, a=2.0)", "y = y * givenK['a'] + givenK['b']"),
    ("collections.Counter('aab')", "y = y * givenK['a'] + givenK['z']"),
    ("{(0, 1): 2.0, None: 3.0, Mode.A: 1.5}", "y = y * givenK[0, 1] * givenK[None] * givenK[Mode.A]"),
    ("collections.namedtuple('Pair', 'a b')(1.0, np.ones(3))", "y = y * givenK.a + givenK.b"),
    ("[[1.0, 2.0], [3.0]]", "y = y * givenK[0][1] + givenK[1][0]"),
    ("[1.0] * 300", "y = y * sum(givenK)"),
    ("[float(c) for c in range(40)]", "y = y * sum(c * np.sin(c) for c in givenK) / 100.0"),
    ("[[0.1 * (i + j) for i in range(6)] for j in range(6)]", "for row in givenK: y = y + sum(c * c for c in row)"),
    ("{'w': np.ones((3, 3)), 'b': np.zeros(3)}", "y = np.tanh((y * np.ones(3)) @ givenK['w'] + givenK['b'])"),
    ("Tensor([1.0, 2.0, 3.0])", "y = y * givenK"),
    ("Tensor([1.0, 2.0, 3.0], requires_grad=False)", "y = y * givenK"),
    ("Tensor(2.0)", "y = y * givenK"),
    ("Tensor([1.0, 2.0, 3.0]) * 2.0", "y = y * givenK"),
    ("nn.Linear(3, 3, rng=0)", "y = givenK(y * np.ones(3))"),
    ("nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh())", "y = givenK(y * np.ones(3))"),
    ("random", "y = y * len(givenK.__name__)"),
    ("object()", "y = y if givenK is not None else -y"),
    ("x0", "y = y * (2.0 if givenK is x else 3.0)"),
    ("memoryview(b'ab')", "y = y * givenK[0]"),
    ("array.array('d', [1.0, 2.0])", "y = y * givenK[0]"),
]
KINDS = {
    "float subclass": "class NumberK(float): pass\nvalueK = NumberK(2.0)",
    "int subclass": "class NumberK(int): pass\nvalueK = NumberK(2)",
    "array subclass": "class ArrayK(np.ndarray): pass\nvalueK = np.ones(3).view(ArrayK)",
    "read-only array": "valueK = np.arange(3.0)\nvalueK.flags.writeable = False",
    "array-like": "class LikeK:\n    def __array__(self, dtype=None, copy=None): return np.arange(3.0)\n    __array_priority__ = 99\nvalueK = LikeK().__array__()",
}

# ── numbers and arrays ────────────────────────────────────────────────────────────────────────────

# What Python's numbers do otherwise than NumPy's: `N` is a number.
NUMBERS = """
y = y * (N // 2)
y = y * (N % 2)
y = y * (N ** 2)
y = y * (N ** -1)
y = y * (N ** 0.5)
y = y * (N / 2)
y = y / N
y = y + 1.0 / N
y = y + 1 / (N + 1)
y = y * (2 ** N)
y = y * (0.0 ** N)
y = y + N // 0.3 + N % -0.7
y = y + divmod(N, 0.3)[1]
y = y * -N * +N
y = y * abs(N)
y = y + (N == 2)
y = y + (N != 1) * 2.0
y = y + (N > 0.7)
y = y + (N in (0, 1, 2))
y = y * round(N, 1)
y = y * N.real
y = y * N.conjugate()
y = y * N.__add__(1)
y = y + min(N, 1)
y = y + max(0, N)
y = y + sum([N, N, 1])
y = y + math.prod([N, 2])
y = y + float(N)
y = y + int(N)
y = y + bool(N)
y = y + complex(N).real
y = y + np.abs(N * 1j)
y = y + N * True
y = y + (N or 5.0)
y = y + (N and 5.0)
y = y + math.sin(N)
y = y + np.sin(N)
y = y + np.sqrt(N)
y = y + np.float64(N)
y = y + np.float32(N)
y = y + np.array(N)
y = y + np.array([N, 1.0, 2.0])
y = y + np.full(3, N)
y = y + np.arange(3) * N
y = y + np.linspace(0, N, 3)
y = y + np.clip(N, 0, 1)
y = y + np.where(N > 0.6, 1.0, 2.0)
y = y + np.maximum(N, 0.7)
y = y + N * 10**18 * 100
y = y + N * 1e308 * 10.0
y = y + N ** 1000.0
y = y + np.exp(N * 1000)
y = y + (N if N else 1.0)
y = y + [N, 2.0][0]
y = y + (lambda v: v * v)(N)
y = y + functools.reduce(operator.add, [N] * 5)
y = y + np.mean([N, 1.0])
y = y + np.sum((N, N))
y = y + np.max([N, 0.5])
y = y + np.median([N, 0.5, 0.7])
y = y + np.polyval([N, 1.0], 2.0)
y = y + np.dot([N, 1.0], [1.0, N])
y = y + fractions.Fraction(1, 2) * N
y = y + N.__class__(2)
y = y * np.sign(N)
y = y + np.heaviside(N, 0.5)
y = y + N * N - N
y = y + np.hypot(N, 1)
y = y + np.floor(N) + np.trunc(N)
""".strip().splitlines()
WHOLE_NUMBERS = """
y = y * (n << 2)
y = y * n.bit_length()
y = y * pow(n, 2, 5)
y = y * (n & 1) + (n | 4) + (n ^ 3) + ~n
y = y + sum(range(n))
y = y + [1.0, 2.0, 3.0, 4.0][n]
y = y + {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}[n]
y = y + len("abcd"[:n])
y = y + y[..., :n].sum()
y = y + np.arange(n).sum()
y = y + np.zeros(n).size
y = y + np.eye(n + 1).sum()
y = y + len((1,) * n)
y = y + len([0] * n)
y = y + np.ones((n, 2)).shape[0]
y = y + np.sum(np.tile(y, n + 1))
y = np.roll(y, n)
y = y + np.repeat(2.0, n).sum()
for _ in range(n): y = np.sin(y) + y
while n > 0: y = y * 1.5; n -= 1
y = y + n * (n - 1) // 2
y = y + math.comb(4, n)
y = y + math.factorial(n)
y = y + np.power(2.0, n)
y = y + np.ldexp(0.5, n)
y = y + np.float64(2.0) ** n
y = y + (2.0 if n % 2 else 3.0)
y = y + (2.0 if n == 2 else 3.0)
y = y + n / 3
y = y + -n // 2
y = y + 10 ** n
y = y + 10 ** -n
y = y + (-2) ** n
y = y + int(n)
y = y + float(n)
y = y + np.int64(n) * 2
y = y + np.sum(np.full(3, n))
y = y + np.array([n, 1, 2]) // 2
y = y + x[n % 3]
y = y + np.take(x, n % 3)
y = y + x.reshape(-1)[: n + 1].sum()
y = y + np.split(np.arange(6.0), 3)[n % 3].sum()
y = y + np.sum(np.eye(3), axis=n % 2)
y = y + np.cumsum(x, axis=-(n // 9) - 1)
y = y + len(f"{n}")
""".strip().splitlines()
# What is done to arrays: shapes that depend on values, writing in place, views.
ARRAYS = """
y = y + x[x > 0.4].sum()
y = y + x[x > 0.4].size
y = y + np.nonzero(x > 0.4)[0].size
y = y + np.where(x > 0.4)[0].sum()
y = y + np.argwhere(x > 0.4).shape[0]
y = y + np.flatnonzero(x > 0.4).sum()
y = y + np.unique(np.round(x)).size
y = y + np.extract(x > 0.4, x).sum()
y = y + np.compress(x > 0.4, x).sum()
y = y + np.bincount((x > 0.4).astype(int)).size
y = y + np.histogram(x, 3)[0][0]
y = y + np.trim_zeros(np.maximum(x, 0.0)).size
y = y + np.setdiff1d(np.round(x), [0.0]).size
y = y + np.intersect1d(np.round(x), [1.0]).size
y = y + np.searchsorted([0.2, 0.5, 0.9], x)
y = y + np.digitize(x, [0.2, 0.5, 0.9])
y = y + np.percentile(x, 30) + np.quantile(x, 0.7)
y = y + np.nanmean(np.where(x > 0.4, x, np.nan))
y = y + np.argsort(x) + np.argmax(x)
y = y[np.argsort(x)]
y = np.sort(y)[::-1] + np.partition(x, 1)[1]
y = y + np.array([1.0, 2.0, 3.0])[np.argsort(x)]
y = y + np.interp(x, [0.0, 1.0], [1.0, 3.0])
y = y + np.convolve(x, [1.0, 2.0], 'same')
y = y + np.gradient(x)
y = y + np.trapezoid(x)
y = y + np.cov(np.stack([x, x * x]))[0, 1]
y = y + np.corrcoef(x, x * x)[0, 1]
y = y + np.polyfit(np.arange(3.0), x, 1)[0]
y = y + np.linalg.norm(x) + np.linalg.eigvalsh(np.outer(x, x))[-1]
y = y + np.linalg.svd(np.outer(x, x) + np.eye(3))[1][0]
y = y + np.linalg.solve(np.eye(3) * 2.0 + np.outer(x, x), x)
y = y + np.fft.fft(x).real
y = y + np.isclose(x, 0.5) + np.isfinite(x)
y = y + np.array_equal(x, x)
y = y + np.allclose(x, 0.5)
y = y + np.any(x > 0.9) + np.all(x > 0.1)
y = y + np.count_nonzero(x > 0.4)
y[0] = 1.5
y[0] = y[1]
y[0], y[1] = y[1], y[0]
y[y > 0.4] = 0.0
y[x > 0.4] += 1.0
y[[0, 2]] = x[[2, 0]]
y[::2] = 3.0
y[:] = y[::-1]
y[1:] = y[:-1]
y[...] = x
y += x
y *= a
y -= np.mean(y)
y /= np.sum(x)
y **= 2
y //= 0.3
y %= 0.7
y += 1
np.add(y, 1.0, out=y)
np.multiply(x, 2.0, out=y)
np.clip(y, 0.0, 1.0, out=y)
np.maximum(y, 0.5, out=y)
np.copyto(y, x)
np.copyto(y, 0.0, where=x > 0.4)
np.put(y, [0, 1], [7.0, 8.0])
np.place(y, x > 0.4, [9.0])
np.putmask(y, x > 0.4, 9.0)
np.fill_diagonal(np.outer(y, y), 0.0)
np.add.at(y, [0, 0, 1], 1.0)
np.random.default_rng(0).shuffle(y)
y.sort()
y.fill(a)
y.itemset(0, 1.0) if hasattr(y, "itemset") else None
y.flat[0] = 4.0
y.resize(3)
y.shape = (3, 1); y = y + 0.0
y = y.reshape(3, 1); y[0] = 2.0; y = y.ravel()
y.partition(1)
z = y; z += 1.0; y = y + z
z = y; z[0] = 5.0
z = y[:2]; z *= 2.0
z = y[::-1]; z[0] = 9.0
z = y.reshape(-1); z[0] = 9.0
z = y.T; z += 1.0
z = y.view(); z += 1.0
z = np.asarray(y); z += 1.0
z = y; z -= 1.0
z = y.copy(); z += 1.0; y = y + z
z = np.ravel(y); z[1] = 3.0
z = np.atleast_2d(y); z[0, 0] = 3.0
z = np.broadcast_to(y, (2, 3)); y = y + z[1]
z = np.expand_dims(y, 0); z += 1.0
z = np.zeros(3); z[0] = a; y = y + z
z = np.zeros(3); z[:] = x; y = y + z
z = np.zeros(3); z += x; y = y + z
z = np.empty_like(x); z[...] = x * 2.0; y = y + z
z = np.zeros((3, 3)); z[np.arange(3), [2, 0, 1]] = x; y = y + z.sum(0)
z = np.zeros((3, 3)); z[1] = x; y = y + z.sum(0)
z = np.zeros((3, 4)); z[np.arange(3), n] = 1.0; y = y + z.sum(1)
z = np.zeros(4); z[n] = 1.0; y = y + z[:3]
z = np.zeros(4); z[n] = np.mean(x); y = y + z[1:]
z = np.zeros(3); z[np.argsort(x)] = x; y = y + z
z = np.ones(3); z[1] *= a; y = y * z
z = [0.0, 0.0, 0.0]; z[0] = a; y = y + z
z = np.array([a, 1.0, x[0]]); z[1] = 5.0; y = y + z
z = x.astype(int); z[0] = a * 10; y = y + z
z = x.astype(np.float32); z[0] = a; y = y + z
z = np.zeros(3, int); z += (x > 0.4); y = y + z
z = np.zeros(3, bool); z[0] = x[0] > 0.4; y = np.where(z, y, -y)
z = np.stack([y, x]); z[0] += 1.0; y = z[0] + z[1]
z = np.concatenate([y, x]); z[2] = 0.0; y = z[:3]
z = {}; z["a"] = x; z["a"] = z["a"] + 1.0; y = y + z["a"]
z = []; z.append(x); z.extend([y, y]); y = sum(z)
z = np.split(np.concatenate([y, x]), 2)[0]; z *= 2.0; y = y + z
z, w = np.split(np.concatenate([y, x]), 2); z += w; y = z * 1.0
z = np.array_split(y, 2)[0]; z += 1.0
z = np.vsplit(np.stack([y, x]), 2)[1]; z *= 2.0; y = z[0]
z = np.diagonal(np.outer(y, y)); y = y + z
z = np.meshgrid(y, x)[0]; z[0] = 1.0; y = z[0] + z[1]
z = np.unstack(np.stack([y, x]))[0] if hasattr(np, "unstack") else y; y = y + z
for i in range(3): y[i] = y[i] * 2.0
for i, v in enumerate(x): y[i] = v * i
for v in np.nditer(x): y = y + float(v)
for v in x: y = y + v
for v in x.flat: y = y + v
for v in np.stack([x, y]): v += 1.0
for i, v in np.ndenumerate(x): y = y + v * i[0]
y = y + sum(x) + sum(v * v for v in x)
y = y + np.fromiter((v for v in x), float)
y = y + np.array([v * 2.0 for v in x])
y = y + np.array(list(map(float, x)))
y = y + np.vectorize(lambda v: v * 2.0)(x)
y = y + np.apply_along_axis(lambda v: v * 2.0, 0, x)
y = y + np.frompyfunc(lambda v: v * 2.0, 1, 1)(x).astype(float)
y = y + np.fromfunction(lambda i: i * a, (3,))
y = y + np.piecewise(x, [x < 0.4], [lambda v: v, lambda v: v * 2.0])
y = y + np.select([x < 0.4, x < 0.7], [x, x * 2.0], 9.0)
y = y + np.choose((x > 0.4).astype(int), [x, -x])
y = y + np.einsum("i,j->i", x, x) + np.tensordot(x, x, 1)
y = y + np.lib.stride_tricks.sliding_window_view(x, 2).sum()
y = y + np.ma.masked_less(x, 0.4).sum()
y = y + np.ma.masked_less(x, 0.4).filled(0.0)
y = y + np.asmatrix(x).sum()
y = y + x.view(np.int64).size
y = y + np.frombuffer(x.tobytes())
y = y + len(x.tobytes())
y = y + np.asarray(memoryview(x * 1.0))
y = y + np.array(x.tolist())
y = y + np.array(str(x.size), dtype=float)
y = y + x.round(1) + x.clip(0.2, 0.8) + x.cumsum() + x.ptp() if hasattr(x, "ptp") else y + x.round(1)
y = y + x.dot(x) + x.mean() + x.std() + x.var() + x.prod() + x.max() + x.argmin()
y = y + x.take([0, 1, 1]) + x.repeat(2)[:3] + x.swapaxes(0, 0)
y = y + x.astype("f4").astype(float) + x.astype(int) + x.astype(bool)
y = y + x.searchsorted(0.5) + x.nonzero()[0].size
y = y + x.flags.writeable
y = y + x.__array_interface__["shape"][0]
y = y + (x.ctypes.shape[0] if hasattr(x, "ctypes") else 0)
y = y + np.result_type(x, np.float32).itemsize
y = y + np.may_share_memory(x, y)
y = y + np.modf(x)[0] + np.frexp(x)[0] + np.divmod(x, 0.3)[1]
y = y + np.ldexp(x, 2) + np.ldexp(x, np.arange(3)) + np.ldexp(1.0, np.arange(3))
y = y + np.nextafter(x, 9.0) + np.spacing(x) + np.signbit(x) + np.copysign(x, -1.0)
y = y + np.float_power(x, 2) + np.cbrt(x) + np.logaddexp(x, y) + np.gcd(6, np.arange(1, 4))
y = y + np.bitwise_count(np.arange(3)) + np.left_shift(np.arange(3), 1)
y = y + np.packbits(x > 0.4)[0]
y = y + np.random.default_rng(3).normal(size=3)
y = y + np.random.default_rng(3).choice(x, 3)
y = y + np.datetime64("2020-01-02").astype(int)
y = y + np.longdouble(x[0]).astype(float)
""".strip().splitlines()

# ── models and optimizers ─────────────────────────────────────────────────────────────────────────

ACTIVATIONS = ["nn.Tanh()", "nn.ReLU()", "nn.Sigmoid()", "nn.GELU()", "nn.LeakyReLU()", "nn.Softplus()"]
LAYERS = ["nn.Dropout(0.3, rng=5)", "nn.BatchNorm1d(4)", "nn.LayerNorm(4)", "nn.Identity()"]
OPTIMIZERS = [
    "optim.SGD({}, lr=0.05)",
    "optim.SGD({}, lr=0.05, momentum=0.9)",
    "optim.SGD({}, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)",
    "optim.Adam({}, lr=0.01)",
    "optim.AdamW({}, lr=0.01, weight_decay=0.1)",
    "optim.RMSprop({}, lr=0.01)",
    "optim.Adagrad({}, lr=0.05)",
]
# `net` is the model, `opt` the optimizer, both found anywhere.
MODEL_CHANGES = [
    "p = next(iter(net.parameters())); p.requires_grad = False",
    "net[0].bias.requires_grad = not net[0].bias.requires_grad",
    "net[0].weight.requires_grad = not net[0].weight.requires_grad",
    "for p in net[0].parameters(): p.requires_grad = False",
    "for p in net.parameters(): p.grad = None",
    "for p in net.parameters(): p.grad = np.ones(p.shape)",
    "net[0].weight.grad = None",
    "net[-1].bias.grad = np.full(net[-1].bias.shape, 0.5)",
    "net.eval()",
    "net.train(not net.training)",
    "net[2].training = not net[2].training",
    "net[0].weight.data = net[0].weight.data * 0.5",
    "net[0].weight.data *= 0.5",
    "net[0].weight.data[0] = 0.25",
    "net[0].weight = Tensor(net[0].weight.data * 0.5)",
    "net[-1].bias = None",
    "net[0].weight.register_hook(lambda g: g * 0.5)",
    "net[-1].bias.register_hook(lambda g: np.zeros_like(g))",
    "net.forward = lambda v: v * 0.5",
    "net[1].forward = lambda v: v * 0.5",
    "net.name = 'other'",
    "net[0].weight.name = 'other'",
    "net.load_state_dict({k: 0.5 * v for k, v in net.state_dict().items()})",
    "net[2].p = 0.6",
    "net[2].eps = 0.5",
    "net[2].momentum = 0.5",
    "net[2].rng = np.random.default_rng(77)",
    "opt.param_groups[0]['lr'] *= 0.5",
    "opt.param_groups[0]['lr'] = 0",
    "opt.param_groups[0]['weight_decay'] = 0.2",
    "opt.param_groups[0]['momentum'] = 0.5",
    "opt.param_groups[0]['betas'] = (0.5, 0.6)",
    "opt.param_groups[0]['nesterov'] = False",
    "opt.param_groups[0]['eps'] = 0.1",
    "opt.param_groups[0]['params'].pop()",
    "opt.param_groups[0]['params'].reverse()",
    "opt.add_param_group({'params': [EXTRAK], 'lr': 0.1})",
    "opt.state.clear()",
    "opt.zero_grad()",
    "opt.load_state_dict(opt.state_dict())",
    "net[0].weight.data = net[0].weight.data.astype(np.float64) + 0.125",
    "net[1], net[2] = net[2], net[1]",
    "net[1] = nn.Sigmoid() if not isinstance(net[1], nn.Sigmoid) else nn.Tanh()",
    "net.layers = list(net.layers)",
    "type(net[1]).scaleK = 2.0",
]
HOLDERS = [
    ("netK", "optK", ""),
    ("trainerK.net", "trainerK.opt", "class TrainerK: pass\ntrainerK = TrainerK()\ntrainerK.net, trainerK.opt = netK, optK"),
    ("HELDK['net']", "HELDK['opt']", "HELDK = {'net': netK, 'opt': optK}"),
    ("HELDK[0]", "HELDK[1]", "HELDK = [netK, optK]"),
    ("heldK.net", "heldK.opt", "heldK = types.SimpleNamespace(net=netK, opt=optK)"),
]
STEPS = [
    "optK.zero_grad()\nlossK = np.mean((netK(x) - np.tanh(x)) ** 2)\nlossK.backward()\noptK.step()\ny = y + lossK.data",
    "lossK = np.mean((netK(x) - np.tanh(x)) ** 2)\nlossK.backward()\noptK.step()\ny = y + lossK.data",
    "lossK = np.mean(netK(x) ** 2) + 0.1 * np.mean(netK(x + 0.5))\noptK.zero_grad()\nlossK.backward()\noptK.step()\ny = y * lossK.data",
    "optK.step()\ny = y + np.mean(netK(x).data)",
    "y = y + np.sum(netK(x).data)",
    "with no_grad(): y = y + np.sum(netK(x).data)",
    "optK.zero_grad()\nlossK = np.mean(netK(x) ** 2)\nlossK.backward()\noptim.clip_grad_norm(netK.parameters(), 0.1)\noptK.step()\ny = y + lossK.data",
    "for _ in range(2):\n    np.mean(netK(x * 0.5) ** 2).backward()\noptK.step()\noptK.zero_grad()",
    "lossK = np.mean(netK(x) ** 2)\nlossK.backward()\nfor p, q in zip(netK.parameters(), [netK[0].weight]): y = y + (0.0 if q.grad is None else np.sum(q.grad))\noptK.step()",
    "optK.zero_grad()\nlossK = np.mean(np.abs(netK(x)))\nlossK.backward()\nfor p in netK.parameters():\n    if p.grad is not None: p.data = p.data - 0.1 * p.grad\ny = y + lossK.data",
    "lossK = np.mean(netK(x) ** 2)\nlossK.backward()\nif netK[0].weight.requires_grad: y = y + np.sum(netK[0].weight.grad)\noptK.step()\noptK.zero_grad()",
]

ARITHMETIC = [
    "y = np.tanh(y) + 0.1 * x",
    "y = y / (1.0 + np.abs(y))",
    "y = np.sin(y) * a + x",
    "y = y - 0.1 * np.mean(y)",
    "y = np.where(y > 0.3, y, 0.5 * y)",
    "y = relu(y) + 0.01 * y",
    "y = np.maximum(y, 0.1) * 1.5",
    "y = np.cumsum(y, axis=-1) * 0.3",
    "y = softplus(y)",
    "y = np.exp(-y * y)",
]
