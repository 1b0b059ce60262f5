"""Pictures of runs without a plotting library: learning curves, confusion matrices, image grids.

An `Album` is a folder of them; `page` shows an album as one file of HTML.

What is given up is everything a plotting library can do beyond these charts; what is gained is that
they look the same everywhere, without a dependency of 30 MB and a second to import it.
"""

from striate.draw.album import Album, Picture, Section
from striate.draw.charts import Bands, Bars, Chart, Table, charts
from striate.draw.confusion import confusion
from striate.draw.figure import Figure, drawable
from striate.draw.grid import grid
from striate.draw.learning_curve import learning_curve
from striate.draw.lines import lines
from striate.draw.matrix import matrix
from striate.draw.overlay import colours, overlay, signed_picture
from striate.draw.page import page
from striate.draw.parallel import parallel
from striate.draw.points import points
from striate.draw.scatter import scatter

__all__ = [
    "Album",
    "Bands",
    "Bars",
    "Chart",
    "Figure",
    "Picture",
    "Section",
    "Table",
    "charts",
    "colours",
    "confusion",
    "drawable",
    "grid",
    "learning_curve",
    "lines",
    "matrix",
    "overlay",
    "page",
    "parallel",
    "points",
    "scatter",
    "signed_picture",
]
