"""What the demos share: their options, their data, and a last line with the result."""

import argparse
import sys
from pathlib import Path

import numpy as np

from autobp.cli.console import Failure, at_least, folder, prepare
from autobp.data import DataError, digits, mnist
from autobp.extras import MissingExtra, needed

DIGITS = (
    "Data: the small digits that come with autobp, 8×8 pixels. MNIST is much harder:\n"
    "these numbers say nothing about it; --data mnist takes MNIST itself."
)


class Demo:
    """A demo that is run from the command line.

    `epochs` is how many there are unless --epochs says otherwise, and with --quick; None where
    nothing is trained. `images` demos take --data, and `plots` demos draw with matplotlib. `seed` is
    the one that is used unless --seed says otherwise.
    """

    def __init__(self, about, epochs=None, quick=None, images=False, plots=True, seed=0):
        prepare()  # what it is piped into may have no letter ∂
        parser = argparse.ArgumentParser(description=about.partition("\n")[0])
        option = parser.add_argument
        trains = f"how long to train ({epochs})" if epochs else "of no effect: nothing is trained"
        option("--seed", type=at_least(0), default=seed, help=f"of all that is random ({seed})")
        option("--epochs", type=at_least(1), metavar="N", help=trains)
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
            try:  # rather than fail when all is done
                if plots:
                    needed("matplotlib", "--out", "plot")
                folder(self.out)
            except (MissingExtra, Failure) as error:
                sys.exit(f"{parser.prog}: {error}")

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
