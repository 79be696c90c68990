"""The doctor: what is wrong with a corpus, before the first step of training."""

from isthmus.data.doctor.examine import examine
from isthmus.data.doctor.finding import Diagnosis, Finding, Place, Severity

__all__ = ["Diagnosis", "Finding", "Place", "Severity", "examine"]
