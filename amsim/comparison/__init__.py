"""Circuit families side by side on one network."""

from amsim.chips.designs import DEFAULT_DESIGNS as DEFAULT_DESIGNS
from amsim.chips.designs import FAMILIES as FAMILIES
from amsim.chips.designs import WORD_LENGTHS as WORD_LENGTHS
from amsim.chips.designs import Design as Design
from amsim.chips.designs import design as design
from amsim.comparison.equal_accuracy import energy_at_accuracy as energy_at_accuracy
from amsim.comparison.equal_accuracy import least_energy as least_energy
from amsim.comparison.equal_accuracy import verdict as verdict
from amsim.comparison.families import compare as compare
from amsim.comparison.given_designs import GivenDesign as GivenDesign
from amsim.comparison.inspection import inspect as inspect
from amsim.comparison.mac_table import circuit_table as circuit_table
from amsim.comparison.procedure import find_design as find_design
