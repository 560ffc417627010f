"""Labels and provenance of results: units, long names, and all that is needed to run them again."""

from amsim.results.labelled import labelled as labelled_dataset

__all__ = ["labelled_dataset"]
