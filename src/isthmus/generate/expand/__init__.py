"""Which continuations to look at next: the one part in which the searches differ, a search a file."""

from isthmus.generate.expand.beam import Beam
from isthmus.generate.expand.candidates import Expand, top
from isthmus.generate.expand.constrained import Constrained
from isthmus.generate.expand.diverse import Diverse
from isthmus.generate.expand.greedy import Greedy
from isthmus.generate.expand.sample import Sample
from isthmus.generate.expand.stochastic import Stochastic

__all__ = ["Beam", "Constrained", "Diverse", "Expand", "Greedy", "Sample", "Stochastic", "top"]
