"""The player: forward, the seed, and backward one contribution at a time, in a page of its own.

api       `play`, which imports all the others when it is called
sweeps    all tangents of a recording, and what a derivative costs
plan      which pictures there are
cells     arrays, for heat maps and the numbers on them
steps     the script: what happens, as data
frames    one box with its neighbours as a diagram of its own
shared    pictures that boxes share which are built alike
views     the pictures, and where in them is what the steps speak of
words     every text of the page
page      the file of HTML, with player.html, player.css and the parts of its script
player    the object that users get
"""

from autobp.drawing.player.api import play

__all__ = ["play"]
