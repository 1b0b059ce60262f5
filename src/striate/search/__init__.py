"""Search that knows when to distrust its best: coarse to fine, in log space.

The best at the edge of a range is flagged and the range extended; seed noise is measured, so that
"no significant difference" is an answer. `search` tries settings of a recipe; `explore` anything.

Optuna keeps the runs; `pip install "striate[search]"`.
"""

from striate.search.course import Budget, Extension
from striate.search.explore import Explored, Objective, explore
from striate.search.importance import Importance, importance
from striate.search.leaders import Leader, compare
from striate.search.ledger import Ledger
from striate.search.report import Best, SearchResult, summed_up
from striate.search.search import Question, resume, search
from striate.search.slot import Entry, Outcome
from striate.search.space import Numbers, Options, Space, read
from striate.search.trainer import Problem
from striate.search.watch import Stop, Watch

__all__ = [
    "Best",
    "Entry",
    "Explored",
    "Extension",
    "Importance",
    "Leader",
    "Ledger",
    "Numbers",
    "Objective",
    "Options",
    "Outcome",
    "Budget",
    "Problem",
    "Question",
    "SearchResult",
    "Space",
    "Stop",
    "Watch",
    "compare",
    "explore",
    "importance",
    "read",
    "resume",
    "search",
    "summed_up",
]
