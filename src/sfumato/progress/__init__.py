"""What is said while work goes on: to a terminal, a notebook, a log or a program.

now        the line that tells of this moment, kept alive by a thread; `Waiting` for work that is no training
renderers  what a run says: `Live` in a terminal, `Notebook`, `Lines` elsewhere, `JsonLines`, `Quiet`
pace       how fast it goes, and when it will end
sentences  how a run opens and closes
"""

from .now import Waiting, is_live
from .renderers import JsonLines, Lines, Live, Notebook, Quiet, renderer

__all__ = ["JsonLines", "Lines", "Live", "Notebook", "Quiet", "Waiting", "is_live", "renderer"]
