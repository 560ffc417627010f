"""Labels and provenance of results: units, long names, and all that is needed to run them again."""

from amsim.results.labelled import labelled as labelled_dataset
from amsim.results.notices import NoEffectWarning as NoEffectWarning

__all__ = ["NoEffectWarning", "labelled_dataset"]
