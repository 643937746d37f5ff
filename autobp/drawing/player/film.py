"""Film: the steps of a player as pictures, all with one layout, and as a GIF."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from autobp.drawing.diagram import Diagram
from autobp.drawing.dot import dot, label_of
from autobp.drawing.fold import Fold
from autobp.drawing.layout import formats, render
from autobp.drawing.literal import quoted, record
from autobp.drawing.player.steps import STYLE, Script, Step
from autobp.drawing.player.words import said
from autobp.extras import needed

__all__ = ["film"]

_STYLE = replace(STYLE, heat=False)
_CAPTION = 54  # points below the picture
_GLOW = "#FFF3C4"
_SECONDS = 0.9  # of a frame in the GIF; the last one is shown longer
_LAST = 3.0


def film(script: Script, folded: Fold, directory: Path) -> list[Path]:
    """Write a picture of the start and of each step, as SVG; where `dot` is installed also as PNG, and
    all of them as one GIF."""
    shots = _Shots(script, folded)
    texts = list(shots)
    kinds = [kind for kind in ("svg", "png") if kind in formats()]
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("step[0-9][0-9][0-9].*"):  # of a film with more steps
        if old.suffix in (".svg", ".png") and int(old.stem[4:]) >= len(texts):
            old.unlink()
    written = []
    with ThreadPoolExecutor() as pool:  # Graphviz is a process
        for kind in kinds:
            drawn = pool.map(lambda text: render(text, kind, placed=True), texts)  # noqa: B023
            for k, content in enumerate(drawn):
                written.append(directory / f"step{k:03}.{kind}")
                written[-1].write_bytes(content)
    pngs = [path for path in written if path.suffix == ".png"]
    if pngs:
        written.append(directory / "steps.gif")
        written[-1].write_bytes(_gif(pngs))
    return written


def _gif(pngs: Sequence[Path]) -> bytes:
    image = needed("PIL.Image", "plot", "a GIF")
    pictures = [image.open(io.BytesIO(path.read_bytes())).convert("RGB") for path in pngs]
    # one palette for all, which the last picture has every colour of
    palette = pictures[-1].quantize(48)
    frames = [picture.quantize(palette=palette, dither=0) for picture in pictures]
    times = [round(1000 * _SECONDS)] * (len(frames) - 1) + [round(1000 * _LAST)]
    stream = io.BytesIO()
    frames[0].save(
        stream,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        optimize=True,
    )
    return stream.getvalue()


class _Shots:
    """The DOT text of every step, in which all nodes and edges have their positions."""

    def __init__(self, script: Script, folded: Fold) -> None:
        self.script = script
        diagram: Diagram = script.diagram
        nodes = [replace(n, gradient=script.widest[n.index]) for n in diagram.nodes]
        text = dot(Diagram(nodes, diagram.uses, diagram.notes), folded, _STYLE)
        laid = json.loads(render(text, "json"))
        self.lines = dot(diagram, folded, _STYLE).split("\n")
        self.place = {
            thing["id"]: thing
            for thing in (*laid.get("objects", ()), *laid.get("edges", ()))
            if "id" in thing
        }
        left, bottom, right, _ = map(float, laid["bb"].split(","))
        self.caption = (left + right) / 2, bottom - _CAPTION / 2, (right - left) / 72
        self.edge = {use.place: link.uses[0].place for link in folded.links for use in link.uses}
        self.home = {script.place[i]: id for i, id in enumerate(folded.home)}

    def __iter__(self) -> Iterator[str]:
        script = self.script
        values = {script.place[n.index] for n in script.diagram.nodes if n.kind != "result"}
        gradients: dict[int, str] = {}
        passed: set[int] = set()
        yield self.shot(None, said("phase_start"), values, gradients, passed)
        for step in script.forward:
            values.add(step.item)
            yield self.shot(step, said("phase_forward"), values, gradients, passed)
        for k, step in enumerate(script.backward):
            gradients |= {item: text for item, text, _ in step.found}
            passed |= self.edges(step)
            phase = said("phase_backward") if k else said("phase_seed")
            yield self.shot(step, phase, values, gradients, passed)

    def edges(self, step: Step) -> set[int]:
        uses = (self.script.arrows[a].use for a in step.arrows)
        return {self.edge[use] for use in uses if use in self.edge}

    def shot(
        self,
        step: Step | None,
        phase: str,
        values: set[int],
        gradients: Mapping[int, str],
        passed: set[int],
    ) -> str:
        lit = {f"b{edge}" for edge in self.edges(step)} if step else set()
        if step and not lit and step.item in values and step.item not in gradients:
            ends = (n for n, arrow in enumerate(self.script.arrows) if arrow.target == step.item)
            uses = (self.script.arrows[n].use for n in ends)
            lit = {f"e{self.edge[use]}" for use in uses if use in self.edge}
        active = self.home.get(step.item) if step else None
        lines = []
        for line in self.lines:
            found = re.search(r"\[id=(\w+) ", line)
            id = found[1] if found else ""
            if id[:1] == "b" and int(id[1:]) not in passed:
                continue
            if id[:1] == "n" and not self.is_folded(id):
                line = self.labelled(line, int(id[1:]), values, gradients)
            if id in self.place:
                line = self.placed(line, id)
            if id and id == active:
                ink = STYLE.theme.backward if lit and min(lit)[0] == "b" else STYLE.theme.forward
                line = f'{line[:-1]} penwidth=3 color="{ink}" fillcolor="{_GLOW}"]'
            elif id in lit:
                line = f"{line[:-1]} penwidth=2.6]"
            lines.append(line)
        end = max(k for k, line in enumerate(lines) if line == "}")
        lines.insert(end, self.told(step, phase))
        return "\n".join(lines)

    def is_folded(self, id: str) -> bool:
        return not id[1:].isdigit()

    def labelled(self, line: str, i: int, values: set[int], gradients: Mapping[int, str]) -> str:
        """A variable with what is known of it."""
        node = self.script.diagram.nodes[i]
        fields = label_of(node, _STYLE)
        item = self.script.place[i]
        known = list(fields)
        if item not in values:
            known[1] = ("\xa0",) * len(known[1])
        if len(known) > 2:
            word, text = said("grad"), gradients.get(item, "—").split("\n")
            low, dots, high = text[0].partition(" … ")
            if (
                dots and len(known[2]) > 1
            ):  # as many lines as the numbers of the field have room for
                known[2] = (word, f"{low} …", high)
            else:
                known[2] = (f"{word} {text[0]}", *text[1:])
        across = STYLE.direction in ("LR", "RL")
        before, after = (record(*f, across=across) for f in (fields, known))
        line = line.replace(f"label={before[:-1]}", f"label={after[:-1]}")
        if item in gradients or STYLE.theme.marked not in line:
            return line
        paint = STYLE.theme.output if node.output else getattr(STYLE.theme, node.kind)
        return f'{line[:-1]} penwidth=1 color="{paint.line}"]'  # what is marked is not known yet

    def placed(self, line: str, id: str) -> str:
        thing = self.place[id]
        kept = ("pos", "lp", "width", "height", "bb")
        given = [f'{name}="{thing[name]}"' for name in kept if name in thing]
        given += ["fixedsize=true"] if "width" in thing else []
        line = re.sub(r" (width|height)=[\d.]+", "", line)
        return line.replace(f"[id={id} ", f"[id={id} {' '.join(given)} ", 1)

    def told(self, step: Step | None, phase: str) -> str:
        x, y, width = self.caption
        lines = [said("start_reverse"), "\xa0"]
        if step is not None:
            lines = [f"{step.says} {step.result}", step.why or "\xa0"]
        label: Any = quoted(f"{phase}:  {lines[0]}", lines[1])
        return (
            f'caption [shape=plaintext style="" fixedsize=true width={width:.3f} height=0.6'
            f' pos="{x:.1f},{y:.1f}" fontsize=13 fontcolor="{STYLE.theme.ink}" label={label}]'
        )
