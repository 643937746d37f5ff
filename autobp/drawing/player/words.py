"""Every text of the page that does not come from the user's program, in one table for each language.

A page is written while its language is spoken. To add a language, add a table: `chinese` is one.

Names in {braces} are replaced, here or by the page's script. A text with a plural has two forms, which
"|" separates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from autobp.drawing.player import chinese

__all__ = [
    "LANGUAGES",
    "WORDS",
    "Language",
    "phrased",
    "raised",
    "reasoned",
    "said",
    "spoken",
    "speaking",
]

WORDS = {
    # the page
    "step_by_step": "step by step",
    "mode": "Mode",
    "reverse_mode": "Reverse mode",
    "forward_mode": "Forward mode",
    "along": "along",
    "along_label": "the input to differentiate by",
    "predict": "Predict",
    "predict_title": "hide each number until you reveal it",
    "theme": "Light / dark",
    "full": "Full screen",
    "full_title": "the full screen, for a lecture (key F; B: a dark screen)",
    "no_script": "A script in this file plays the steps. It needs no network.",
    # the live page
    "drag_hint": "Drag a blue number: everything follows.",
    "cell_hint": "Choose an array, click a cell of it and move the slider: everything follows.",
    "training_hint": "Move the step of training: everything follows. Open a layer to see its parameters.",
    "no_number": "“{said}” is no number.",
    "other_branch": "For this value the program takes another way ({line}). This page has the one that was recorded.",
    "undo": "Undo",
    "undo_title": "take the last change back (Ctrl+Z)",
    "reset": "Reset",
    "amount": "the number to change",
    "exact": "the number itself",
    "row": "row",
    "nudge": "Nudge",
    "nudge_title": "what a small change does, beside what the gradient says",
    "nudge_loss": "Δloss",
    "nudge_ratio": "Δloss/Δ",
    "nudge_gap": "minus gradient",
    "nudge_straight": "The gradient is {gradient}. The loss is a straight line in this number, so every step agrees.",
    "nudge_bends": "The gradient is {gradient}: the slope right here. The loss bends, so a large step sees another slope; the smaller the step, the smaller the difference.",
    "nudge_steep": "The gradient is {gradient}: the loss has no slope here that a step could agree with.",
    "nudge_nan": "The loss or its gradient is NaN here, so there is nothing to compare.",
    "nudge_none": "This is a constant: its gradient is not computed. Nudging it changes the loss all the same.",
    "nudge_kink": "The gradient is {gradient}. The difference does not shrink with the step: there is a kink or a jump nearby, or the numbers are too large for so small a step.",
    "dead_chosen": "This page is not live: at {line} elements are chosen by an index that is computed from the inputs, as by np.sort, np.argmax or x[x > 0].",
    "dead_order": "This page is not live: at {line} elements are taken in an order, and a result does not tell how it was found. Play a function and its arguments: play(f, x).",
    "dead_mask": "This page is not live: at {line} a mask is used, and a result does not tell how its mask was computed. Play a function and its arguments: play(f, x).",
    "dead_random": "This page is not live: at {line} random numbers are compared with what is computed from the inputs.",
    "dead_other": "This page is not live: the function does not do the same each time it runs.",
    "dead": "This page is not live: {why}",
    "dead_large": "This page is not live: the program has {n} operations; {most} are the most.",
    "dead_notes": "This page is not live: the recorded program could not be differentiated completely.",
    "dead_long": "This page is not live: the program computes {n} numbers; {most} are the most.",
    # training
    "epoch": "Step of training",
    "epoch_of": "{at} of {of} steps",
    "loss_is": "loss {n}",
    "rate": "Learning rate",
    "run_on": "Run on from here",
    "run_on_title": "train on from what is shown, changed numbers and all, with this learning rate",
    "run_on_later": "the first step of this optimizer is unlike the others: run on from a later one",
    "recorded": "Recorded run",
    "curve": "the loss at each step, from {low} to {high}",
    "region": "what the model says for each point of the plane, and the data",
    "remembered": "optimizer",
    # the graph
    "graph": "The program as a graph",
    "find": "Find a layer, variable or operation (key /)",
    "find_label": "Find a layer, a variable or an operation",
    "found_none": "Nothing has this name",
    "found_more": "… and {n} more",
    "detail": "show",
    "smaller": "Zoom out",
    "larger": "Zoom in",
    "fit": "Fit",
    "fit_title": "show the whole graph (key 0)",
    "kind_parameter": "parameter",
    "kind_input": "input",
    "kind_constant": "constant",
    "kind_result": "result",
    "kind_output": "output",
    "kind_folded": "folded",
    "kind_part": "folded",
    "whole": "Whole program",
    "levels": "{n} of {of} levels open",
    "program": "the whole program",
    "glance": "at a glance",
    "closed": "all closed",
    "opened": "all open",
    "rolled": "repeats as one",
    "rest": "the rest",
    "operations": "operations {which}",
    "up": "Close",
    "elsewhere": "This step is in {where}, which is not in this picture.",
    "elsewhere_top": "This step is outside this picture.",
    "go_there": "Go there",
    # the step
    "this_step": "This step",
    "reveal": "Reveal",
    "phase_start": "start",
    "phase_forward": "forward",
    "phase_seed": "seed",
    "phase_backward": "backward",
    "phase_tangent": "forward mode",
    "step_of": "step {at} of {of}",
    "pass_of": ", pass {n}",
    "no_passes": "This program is too long to be played in forward mode.",
    "start_reverse": "The inputs have values. Next, compute one operation after another.",
    "start_tangent": "All inputs have values. Next, vary one of them.",
    "predict_next": "Which number comes next?",
    # the controls
    "controls": "Controls",
    "first": "First",
    "previous": "Previous",
    "play": "Play",
    "pause": "Pause",
    "next": "Next",
    "last": "Last",
    "step": "Step",
    "speed": "speed",
    "keys": "Keys: ← → or Page Up, Page Down: step. Home, End: first, last. Space: play. /: find."
    " +, −, 0: zoom, fit. ↑ ↓ on a node: the next node. Esc: follow the steps. F: full screen. B: dark.",
    # the cost
    "cost": "Cost",
    "multiplications": "Multiplications",
    "cost_reverse": "Reverse mode: one sweep for {what}",
    "cost_forward": "Forward mode: one pass for each derivative",
    "one_derivative": "the derivative",
    "all_derivatives": "all {n} derivatives",
    "ratio_reverse": "Reverse mode needs {n} × less.",
    "ratio_forward": "Forward mode needs {n} × less.",
    "ratio_none": "Only forward mode multiplies.",
    "ratio_equal": "Both modes need the same number.",
    "of_multiplications": "{n} of {of} multiplication|{n} of {of} multiplications",
    "of_sweeps": "{n} of {of} sweep done",
    "of_passes": "{n} of {of} pass done|{n} of {of} passes done",
    "counted": "Counts multiplications by local derivatives, element by element. A derivative that is"
    " passed on unchanged costs nothing. Both bars have the same scale.",
    "held": "This page plays {n} of the {of} passes.",
    # the panel
    "details": "Details",
    "follow": "Follow the steps",
    "formula": "formula",
    "value": "value",
    "gradient_so_far": "gradient so far",
    "gradient_end": "gradient at the end",
    "tangent": "tangent",
    "grad": "grad",
    "code": "your code",
    "inside": "inside",
    "not_yet": "not yet",
    "asked": "?",
    "uses": "Every use, and what comes back through it",
    "in": "in",
    "upstream_local": "upstream × local",
    "contribution": "contribution",
    "sum": "sum",
    "open": "Open {name}",
    "open_one": "Open one of {n}",
    "more": "… and {n} more",
    "map": "{what}, {shape}, from {low} to {high}",
    "map_scale": "0 is white; the strongest colour is ±{n}",
    "map_grey": "black is {low}, white is {high}",
    "map_part": "Each cell is the number of largest absolute value in a block of {block}.",
    "map_mean": "Each cell is the mean of a block of {block}.",
    "map_first": "The first {n} of {of} are shown.",
    "map_hint": "Point at a cell for its number.",
    "nothing_finite": "nothing finite",
    "numbers": "Numbers",
    # the health strip
    "health": "Gradient health",
    "health_recorded": ", of the recorded run",
    "health_label": "RMS of the gradient and of the value in each layer, from input to loss",
    "health_gradient": "gradient",
    "health_value": "value",
    "health_fine": "No layer is vanishing, exploding, dead or NaN.",
    "health_layer": "layer",
    "rms_value": "RMS of the value",
    "rms_gradient": "RMS of the gradient",
    "mark": "mark",
    "health_mark": "{sign} {kind}: {n}, first ",
    "rms_weights": "RMS of the gradient of its weights",
    "layers_table": "All layers as text",
    # the steps
    "grad_of": "grad of {name}",
    "tangent_of": "tangent of {name}",
    "seed_why": "∂{name}/∂{name}: the derivative of the result by itself",
    "local_derivative": "local derivative {slope}",
    "g_is": "g is the gradient of {name}: {value}",
    "this_adds": "; this adds {value}",
    "d_is": "d{name} is the tangent of {name}: {value}",
    "rule_of": "the rule of {name}, of {of}",
    "for_each": "{formula} for each of {n} elements",
    "sum_of": "the sum of {formula}",
    "varies": "this number varies, all other inputs are fixed",
    "that_is": ". That is ∂{of}/∂{by}; reverse mode computes all such derivatives in one sweep",
    "forward_ends": "forward mode stops where a rule failed: {error}",
    "part_computed": "{name}, {n} operation:|{name}, {n} operations:",
    "part_returned": "{name}, backwards along {n} edge:|{name}, backwards along {n} edges:",
    "part_tangents": "tangents of {name}, {n} operation:|tangents of {name}, {n} operations:",
    "of_results": "{n} result|{n} results",
    "of_tangents": "{n} tangent|{n} tangents",
    "gradients_grew": "{n} gradient grew|{n} gradients grew",
    # the table of the steps
    "all_steps": "All steps as text",
    "column_pass": "pass",
    "column_what": "what happens",
    "column_result": "result",
}


class Language(NamedTuple):
    """A table of texts, what pictures and marks say in English with what they say in it, the same of
    reasons why a page is not live, and its tag."""

    words: Mapping[str, str]
    phrases: Mapping[str, str]
    reasons: Mapping[str, str]
    tag: str


LANGUAGES = {
    "en": Language(WORDS, {}, {}, "en"),
    "zh": Language(chinese.WORDS, chinese.PHRASES, chinese.REASONS, "zh-Hant"),
}
_spoken = ContextVar("language", default=LANGUAGES["en"])


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Write pages in a language.

    >>> with speaking("zh"):
    ...     said("play")
    '播放'
    """
    if language not in LANGUAGES:
        known = ", ".join(map(repr, LANGUAGES))
        raise ValueError(f"there is no language {language!r}; a page speaks one of {known}")
    token = _spoken.set(LANGUAGES[language])
    try:
        yield
    finally:
        _spoken.reset(token)


def spoken() -> Language:
    """The language of the page that is written."""
    return _spoken.get()


def phrased(text: str) -> str:
    """A label or a mark of a picture in the language of the page."""
    return _replaced(text, spoken().phrases)


def reasoned(text: str) -> str:
    """Why a page is not live, in the language of the page."""
    return _replaced(text, spoken().reasons)


def raised(error: Exception) -> str:
    """What an exception says, in English; elsewhere its kind."""
    return type(error).__name__ if spoken().reasons else str(error)


def _replaced(text: str, phrases: Mapping[str, str]) -> str:
    for pattern, phrase in phrases.items():
        text = re.sub(pattern, phrase, text)
    return text


def said(key: str, **given: Any) -> str:
    """A text with the names in braces replaced, in its form for `n` things.

    >>> said("of_results", n=1), said("of_results", n=2000)
    ('1 result', '2,000 results')
    """
    one, *many = spoken().words[key].split("|")
    n = given.get("n")
    if isinstance(n, int):
        given["n"] = f"{n:,}"
    return (many[0] if many and n != 1 else one).format(**given)
