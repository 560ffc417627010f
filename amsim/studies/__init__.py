"""Studies: settings x dies x reads as one labelled data set."""

from amsim.studies.axes import only_where as only_where
from amsim.studies.axes import points as points
from amsim.studies.axes import samples as samples
from amsim.studies.front_door import sweep as sweep
from amsim.studies.measured import study as study
from amsim.studies.sources import switched_sources as switched_sources
