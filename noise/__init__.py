"""Physics of error: thermal noise, mismatch, switching, random draws and gradient rules, independent of any circuit."""

from amsim.noise import lumped as lumped
from amsim.noise import spatial as spatial
from amsim.noise import switching as switching
from amsim.noise.gradients import DECISION_RULES as DECISION_RULES
from amsim.noise.gradients import NOISY_DECISION_RULES as NOISY_DECISION_RULES
from amsim.noise.gradients import ROUNDING_RULES as ROUNDING_RULES
from amsim.noise.gradients import decision as decision
from amsim.noise.gradients import expected_decision as expected_decision
from amsim.noise.gradients import noisy_decision as noisy_decision
from amsim.noise.gradients import rounded as rounded
from amsim.noise.item_keys import item_key as item_key
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT as MOM_FRINGE_COEFFICIENT
from amsim.noise.mismatch import PESSIMISTIC_COEFFICIENT as PESSIMISTIC_COEFFICIENT
from amsim.noise.mismatch import capacitor_mismatch_sigma as capacitor_mismatch_sigma
from amsim.noise.mismatch import pelgrom_sigma as pelgrom_sigma
from amsim.noise.random import RANDOM_METHODS as RANDOM_METHODS
from amsim.noise.random import normal as normal
from amsim.noise.random import numbered_keys as numbered_keys
from amsim.noise.random import uniform as uniform
from amsim.noise.thermal import driver_sigma as driver_sigma
from amsim.noise.thermal import ktc_charge_sigma as ktc_charge_sigma
from amsim.noise.thermal import ktc_sigma as ktc_sigma
