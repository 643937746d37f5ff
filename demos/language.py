"""A language model of characters: an LSTM, and a transformer.

Run it with `python demos/language.py`. The text is the first chapter of Alice's Adventures in
Wonderland, by Lewis Carroll (1865), up to the end of the bottle.
"""

import math
import sys
import textwrap
from pathlib import Path

import numpy as np
from _common import Demo, watched

from autobp import compile, nn, no_grad, optim, sigmoid

TEXT = (Path(__file__).parent / "alice.txt").read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))
CODES = np.array([LETTERS.index(letter) for letter in TEXT])

LENGTH, BATCH = 32, 32  # characters that a model looks back on; windows in a step


class LSTM(nn.Module):
    """One cell, which reads the characters one after the other. It carries a memory c, which gates
    forget and add to, and a state h, which is what it shows of the memory."""

    def __init__(self, letters, rng, size=64):
        self.size = size
        self.embedding = nn.Embedding(letters, size, rng=rng)
        self.gates = nn.Linear(2 * size, 4 * size, rng=rng)
        self.readout = nn.Linear(size, letters, rng=rng)

    def cell(self, x, h, c):
        z = self.gates(np.concatenate([x, h], axis=1))
        keep, write, show, new = np.split(z, 4, axis=1)
        c = sigmoid(keep + 1.0) * c + sigmoid(write) * np.tanh(new)
        return sigmoid(show) * np.tanh(c), c

    def forward(self, codes):
        x = self.embedding(codes)
        h = c = np.zeros((len(codes), self.size))
        states = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], h, c)
            states.append(h)
        return self.readout(np.stack(states, axis=1))


class Block(nn.Module):
    """Attention to the characters before, then two layers for each character by itself. Both add to
    what comes in."""

    def __init__(self, size, heads, rng):
        self.heads = heads
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.project = nn.Linear(size, 3 * size, rng=rng)
        self.mix = nn.Linear(size, size, rng=rng)
        self.dropout = nn.Dropout(0.2, rng=rng)
        self.think = nn.Sequential(
            nn.Linear(size, 4 * size, rng=rng), "gelu", nn.Linear(4 * size, size, rng=rng)
        )

    def forward(self, x):
        n, length, size = x.shape
        z = self.project(self.before(x)).reshape(n, length, 3, self.heads, -1)
        q, k, v = z.transpose(2, 0, 3, 1, 4)  # each (samples, heads, length, size of a head)
        seen = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.mix(seen.transpose(0, 2, 1, 3).reshape(n, length, size)))
        return x + self.dropout(self.think(self.between(x)))


class Transformer(nn.Module):
    """Blocks, over the sum of what each character is and where it stands."""

    def __init__(self, letters, rng, size=32, heads=4, blocks=2):
        self.embedding = nn.Embedding(letters, size, rng=rng)
        self.places = nn.Embedding(LENGTH, size, init=nn.normal(0.1), rng=rng)
        self.blocks = [Block(size, heads, rng) for _ in range(blocks)]
        self.readout = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, letters, rng=rng))

    def forward(self, codes):
        x = self.embedding(codes) + self.places(np.arange(codes.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.readout(x)


def windows(codes, starts):
    """Pieces of the text, and the same pieces one character further on."""
    at = np.add.outer(starts, np.arange(LENGTH))
    return codes[at], codes[at + 1]


def loss_of(model, codes, following):
    logits = model(codes)  # (samples, length, letters)
    return nn.cross_entropy(logits.reshape(-1, len(LETTERS)), following.reshape(-1))


def train(model, codes, steps, rng):
    """Returns the loss of each step."""
    optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = optim.CosineAnnealingLR(optimizer, steps, eta_min=1e-4)

    @compile
    def step(x, y):
        loss = loss_of(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        return loss.data

    losses = []
    for _ in watched(steps, lambda i: f"loss {losses[-1]:.3f}"):
        starts = rng.integers(len(codes) - LENGTH, size=BATCH)
        losses.append(float(step(*windows(codes, starts))))
        schedule.step()
    return losses


def written(model, start, n, rng, temperature=0.7):
    """What the model goes on with, one character drawn after the other."""
    codes = [LETTERS.index(letter) for letter in start]
    with no_grad():
        for _ in range(n):
            logits = model(np.array([codes[-LENGTH:]]))[0, -1].numpy() / temperature
            codes.append(int(np.argmax(logits + rng.gumbel(size=len(logits)))))
    return "".join(LETTERS[code] for code in codes)


def main():
    demo = Demo(__doc__, epochs=500, quick=20)
    cut = len(CODES) * 9 // 10
    print(
        f"{len(TEXT):,} characters, {len(LETTERS)} different ones; the last tenth is for testing."
    )
    print(f"Steps of {BATCH} windows of {LENGTH} characters: {demo.epochs}.\n")
    test = windows(CODES[cut:], np.arange(0, len(CODES) - cut - LENGTH - 1, 4))
    found, curves = {}, {}
    for name, kind in (("LSTM", LSTM), ("transformer", Transformer)):
        rng = np.random.default_rng(demo.seed)
        model = kind(len(LETTERS), rng)
        size = sum(p.size for p in model.parameters())
        print(f"{name}: {size:,} parameters", file=sys.stderr)
        curves[name] = train(model, CODES[:cut], demo.epochs, rng)
        model.eval()
        with no_grad():
            found[name] = float(loss_of(model, *test)) / math.log(2)
        print(f"{name}, {size:,} parameters: {found[name]:.2f} bits a character on the test text")
        text = " ".join(written(model, "Alice ", 130, rng).split())
        print(textwrap.indent(textwrap.fill(text, 70), "    "), end="\n\n")

    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure()
        plots.curves(curves, ax, xlabel="step", ylabel="loss")
        demo.save(figure, "language_loss.png")
    demo.done(", ".join(f"{name} {bits:.2f} bits a character" for name, bits in found.items()))


if __name__ == "__main__":
    main()
