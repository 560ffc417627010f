"""The hardware of a whole system and its cost: accelerators, memories, settings and supply."""

from amsim.system.accelerator import Accelerator as Accelerator
from amsim.system.cost import SystemCost as SystemCost
from amsim.system.cost import system_cost as system_cost
from amsim.system.hardware import COMPONENTS as COMPONENTS
from amsim.system.hardware import KILOBYTE as KILOBYTE
from amsim.system.hardware import PowerManagement as PowerManagement
from amsim.system.many_points import cost_at_points as cost_at_points
from amsim.system.node import at_node as at_node
from amsim.system.organisation import Organisation as Organisation
from amsim.system.organisation import Overhead as Overhead
from amsim.system.organisation import Processor as Processor
from amsim.system.organisation import Spread as Spread
from amsim.system.organisation import SystolicArray as SystolicArray
from amsim.system.settings import continuous_settings as continuous_settings
from amsim.system.settings import setting as setting
from amsim.system.settings import static_settings as static_settings
from amsim.system.settings import with_settings as with_settings
from amsim.system.supply import minimum_energy_supply as minimum_energy_supply
from amsim.system.supply import scaled_to_supply as scaled_to_supply
from amsim.system.unscaled import what_does_not_scale as what_does_not_scale
from amsim.system.without_effect import what_has_no_effect as what_has_no_effect
