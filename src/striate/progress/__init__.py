"""Progress, said to whoever listens.

Long work wraps its items in `track`, and says a line of human text with `say`; neither knows what
it looks like. The command line installs a `Display`: a bar on a terminal, quiet lines elsewhere. In
a notebook there is one that rewrites the cell's output in place. Elsewhere, as in a library, both
are silent. What a caller would take for a hang, `announce` says on stderr in any case.

    with progress.use(progress.Silent()):  # nothing, in a notebook either
        train(recipe)
"""

from striate.progress.display import Display, Silent, Task
from striate.progress.listening import announce, say, say_once, track, unsaid, use

__all__ = ["Display", "Silent", "Task", "announce", "say", "say_once", "track", "unsaid", "use"]
