"""The ladder of trust: results of amsim against references from elsewhere."""

from amsim.validation.ladder import all_rungs as all_rungs
from amsim.validation.ladder import validate as validate
from amsim.validation.rung import KINDS as KINDS
from amsim.validation.rung import LEVELS as LEVELS
from amsim.validation.rung import Rung as Rung
