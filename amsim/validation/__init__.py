"""The ladder of trust: what amsim computes held against references that it did not compute."""

from amsim.validation.ladder import all_rungs as all_rungs
from amsim.validation.ladder import validate as validate
from amsim.validation.rung import KINDS as KINDS
from amsim.validation.rung import LEVELS as LEVELS
from amsim.validation.rung import Rung as Rung
