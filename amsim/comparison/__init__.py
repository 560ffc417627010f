"""Circuit families side by side on one network."""

from amsim.comparison.designs import DEFAULT_DESIGNS as DEFAULT_DESIGNS
from amsim.comparison.designs import FAMILIES as FAMILIES
from amsim.comparison.designs import WORD_LENGTHS as WORD_LENGTHS
from amsim.comparison.designs import Design as Design
from amsim.comparison.designs import design as design
from amsim.comparison.families import compare as compare
from amsim.comparison.families import verdict as verdict
from amsim.comparison.mac_table import circuit_table as circuit_table
