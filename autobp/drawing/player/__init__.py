"""The player: a page that plays a program: forward, the seed, then backward by contributions.

api       `play`, which imports all the others when it is called
sweeps    all tangents of a recording, and the cost of a derivative
plan      which pictures the page has
cells     arrays, for heat maps and their numbers
steps     the script: the steps as data
frames    one box with its neighbours as a separate diagram
shared    one picture for all boxes of equal structure
views     the pictures, and the place of each step's items in them
live      the steps with holes for numbers, and the program that fills them
film      the steps as pictures and as a GIF
training  a recorded run of training
words     every text of the page, and chinese
page      the HTML file, with player.html, player.css and the parts of its script
player    the object that users get
"""

from autobp.drawing.player.api import play, play_training

__all__ = ["play", "play_training"]
