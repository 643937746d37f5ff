"""JavaScript: programs printed as plain JavaScript, over a runtime of a few kB.

A number is a number, an array a Float64Array of its elements in the order of C; shapes are known when
a program is printed, and are not there when it runs.

>>> import numpy as np
>>> from autobp.compiler.trace.direct import program_of
>>> print(javascript(program_of(lambda x, w: np.tanh(x) * w, {"x": np.zeros(3), "w": 2.0})))
const program = (() => {
return (x, w) => {
const v2 = each(3, (i) => Math.tanh(x[i]));
const v3 = each(3, (i) => v2[i] * w);
return v3;
};
})();
"""

from autobp.compiler.javascript.printer import RUNTIME, Unprintable, javascript

__all__ = ["RUNTIME", "Unprintable", "javascript"]
