"""What the demos share: their options, their data, and their last line, the result."""

import argparse
import sys
from pathlib import Path

import numpy as np

from autobp.cli.console import Failure, at_least, folder, prepare
from autobp.data import DataError, digits, mnist
from autobp.extras import MissingExtra, needed

DIGITS = (
    "Data: the small digits that come with autobp, 8×8 pixels. MNIST is much harder,\n"
    "so these numbers say nothing about it. --data mnist uses MNIST."
)


class Demo:
    """A demo that is run from the command line.

    `epochs`, `quick` and `seed` are the defaults of --epochs, of --epochs with --quick, and of --seed;
    `epochs` is None if nothing is trained. `images` demos take --data, and `plots` demos draw with
    matplotlib.
    """

    def __init__(self, about, epochs=None, quick=None, images=False, plots=True, seed=0):
        prepare()  # the encoding of a pipe may lack the letter ∂
        parser = argparse.ArgumentParser(description=about.partition("\n")[0])
        option = parser.add_argument
        trains = f"epochs of training ({epochs})" if epochs else "no effect: nothing is trained"
        option("--seed", type=at_least(0), default=seed, help=f"random seed ({seed})")
        option("--epochs", type=at_least(1), metavar="N", help=trains)
        option("--quick", action="store_true", help="much shorter, to see that it runs")
        option("--out", type=Path, metavar="FOLDER", help="save pictures there")
        if images:
            sets = ("digits", "mnist")
            option("--data", choices=sets, default=sets[0], help="the small digits, or MNIST")
        options = parser.parse_args()
        self.seed, self.quick, self.out = options.seed, options.quick, options.out
        self.epochs = options.epochs or (quick if self.quick else epochs)
        self.data = options.data if images else None
        self.files = []
        if self.out:
            try:  # now, rather than at the end
                if plots:
                    needed("matplotlib", "--out", "plot")
                folder(self.out)
            except (MissingExtra, Failure) as error:
                sys.exit(f"{parser.prog}: {error}")

    def images(self):
        """`(x, y, x_test, y_test)`, pixels from 0 to 1 in float32. Prints which data set it is."""
        try:
            images = mnist(scale=True) if self.data == "mnist" else digits(scale=True)
        except DataError as error:
            sys.exit(str(error))
        print("Data: MNIST." if self.data == "mnist" else DIGITS)
        x, y, x_test, y_test = images
        print(f"{len(x):,} images for training, {len(x_test):,} for testing.\n")
        return x, y, x_test, y_test

    def save(self, picture, name):
        """Save a matplotlib Figure or a drawn graph in the folder of --out."""
        path = self.out / name
        if hasattr(picture, "savefig"):
            picture.savefig(path)
        else:
            path = picture.save(path)  # DOT instead of SVG where there is no Graphviz
        self.files.append(path)

    def done(self, result):
        """Print the last line."""
        on = {"mnist": " on MNIST", "digits": " on the small digits", None: ""}[self.data]
        written = f"Written: {', '.join(map(str, self.files))}."
        print(f"\nResult{on}: {result}. {written if self.files else 'No pictures: see --out.'}")


def rows(x):
    """Images as rows of numbers."""
    return np.reshape(x, (len(x), -1))


def compared(derivatives, other="textbook"):
    """Print a table of derivatives, `{name: (formula, the library's, the other's)}`: the first number
    of each, and the largest difference between the two. Returns the largest difference of all."""
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
    """Return a result of `fit` or `compare`, or end the demo if Ctrl-C cut it short: a demo must not
    report results from fewer epochs than it names."""
    if found.interrupted:
        raise KeyboardInterrupt
    return found


def watched(epochs, say):
    """range(epochs), which prints `say(epoch)` to stderr about ten times."""
    for epoch in range(epochs):
        yield epoch
        if (epoch + 1) % max(1, epochs // 10) == 0:
            print(f"{epoch + 1:7,}/{epochs:,}  {say(epoch)}", file=sys.stderr)
