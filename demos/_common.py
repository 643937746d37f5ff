"""What the demos share: their options, their data, and a last line with the result."""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from autobp.data import DataError, digits, mnist

DIGITS = (
    "Data: the small digits that come with autobp, 8×8 pixels. MNIST is much harder:\n"
    "these numbers say nothing about it; --data mnist takes MNIST itself."
)


class Demo:
    """A demo that is run from the command line.

    `epochs` is how many there are unless --epochs says otherwise, and with --quick; None where
    nothing is trained. `images` demos take --data, and `plots` demos draw with matplotlib.
    """

    def __init__(self, about, epochs=None, quick=None, images=False, plots=True):
        if hasattr(sys.stdout, "reconfigure"):  # what it is piped into may have no letter ∂
            sys.stdout.reconfigure(errors="replace")
        parser = argparse.ArgumentParser(description=about.partition("\n")[0])
        option = parser.add_argument
        trains = f"how long to train ({epochs})" if epochs else "of no effect: nothing is trained"
        option("--seed", type=whole, default=0, help="of all that is random (0)")
        option("--epochs", type=at_least_one, metavar="N", help=trains)
        option("--quick", action="store_true", help="much shorter: to see that it runs")
        option("--out", type=Path, metavar="FOLDER", help="draw pictures into it")
        if images:
            sets = ("digits", "mnist")
            option("--data", choices=sets, default=sets[0], help="the small digits, or MNIST")
        options = parser.parse_args()
        self.seed, self.quick, self.out = options.seed, options.quick, options.out
        self.epochs = options.epochs or (quick if self.quick else epochs)
        self.data = options.data if images else None
        self.files = []
        if self.out:
            if plots and find_spec("matplotlib") is None:
                parser.error("--out draws with matplotlib: pip install 'autobp[plot]'")
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self.out).close()  # rather than fail when all is done
            except OSError as error:
                parser.error(f"--out {self.out}: {error.strerror}")

    def images(self):
        """`(x, y, x_test, y_test)`, pixels from 0 to 1 in float32; says which set it is."""
        try:
            images = mnist(scale=True) if self.data == "mnist" else digits(scale=True)
        except DataError as error:
            sys.exit(str(error))
        print("Data: MNIST." if self.data == "mnist" else DIGITS)
        x, y, x_test, y_test = images
        print(f"{len(x):,} images to learn from, {len(x_test):,} to test on.\n")
        return x, y, x_test, y_test

    def save(self, picture, name):
        """Keep a picture, a Figure of matplotlib or a drawn graph, in the folder of --out."""
        path = self.out / name
        if hasattr(picture, "savefig"):
            picture.savefig(path)
        else:
            path = picture.save(path)  # DOT instead of SVG where there is no Graphviz
        self.files.append(path)

    def done(self, result):
        """The last line."""
        on = {"mnist": " on MNIST", "digits": " on the small digits", None: ""}[self.data]
        written = f"Written: {', '.join(map(str, self.files))}."
        print(f"\nResult{on}: {result}. {written if self.files else 'No pictures: see --out.'}")


def whole(text, least=0):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"a whole number, at least {least}, not {text}")
    return int(text)


def at_least_one(text):
    return whole(text, 1)


def rows(x):
    """Images as rows of numbers."""
    return np.reshape(x, (len(x), -1))


def compared(derivatives, other="textbook"):
    """A table of derivatives, `{name: (formula, the library's, the other's)}`: of each its first
    number, by either way, and the largest difference between the two. Returns the largest of all."""
    print(f"  {'':8}{'formula':28}{'shape':>9}{'library':>13}{other:>13}{'differ':>7}")
    worst = 0.0
    for name, (formula, library, theirs) in derivatives.items():
        shape = str(np.shape(library)).replace(" ", "")
        most = np.max(np.abs(np.subtract(library, theirs)))
        first, second = np.ravel(library)[0], np.ravel(theirs)[0]
        print(f"  {name:8}{formula:28}{shape:>9}{first:13.5e}{second:13.5e}{most:7.0e}")
        worst = max(worst, float(most))
    return worst


def finished(found):
    """What was found, unless Ctrl-C cut it short, which `fit` and `compare` survive: a demo does
    not go on to results from less than it says."""
    if found.interrupted:
        raise KeyboardInterrupt
    return found


def watched(epochs, say):
    """range(epochs); about ten times on the way, and at the end, what `say(epoch)` returns goes to
    stderr."""
    for epoch in range(epochs):
        yield epoch
        if (epoch + 1) % max(1, epochs // 10) == 0:
            print(f"{epoch + 1:7,}/{epochs:,}  {say(epoch)}", file=sys.stderr)
