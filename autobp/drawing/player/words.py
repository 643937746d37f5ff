"""Every text of the page that does not come from the user's program, in one table.

Names in {braces} are replaced, here or by the page's script. A text with a plural has two forms, which
"|" separates.
"""

from __future__ import annotations

from typing import Any

__all__ = ["WORDS", "said"]

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
    "no_script": "A script in this file plays the steps. It needs no network.",
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
    " +, −, 0: zoom, fit. ↑ ↓ on a node: the next node. Esc: follow the steps.",
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
    "numbers": "Numbers",
    # the health strip
    "health": "Gradient health",
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


def said(key: str, **given: Any) -> str:
    """A text with the names in braces replaced, in its form for `n` things.

    >>> said("of_results", n=1), said("of_results", n=2000)
    ('1 result', '2,000 results')
    """
    one, *many = WORDS[key].split("|")
    n = given.get("n")
    if isinstance(n, int):
        given["n"] = f"{n:,}"
    return (many[0] if many and n != 1 else one).format(**given)
