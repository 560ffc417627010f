"""The hardware of a whole system and its cost: accelerators, memories, settings and supply."""

from amsim.system.accelerator import COMPONENTS as COMPONENTS
from amsim.system.accelerator import KILOBYTE as KILOBYTE
from amsim.system.accelerator import Accelerator as Accelerator
from amsim.system.accelerator import PowerManagement as PowerManagement
from amsim.system.accelerator import binary_activation_memory as binary_activation_memory
from amsim.system.accelerator import binary_weight_memory as binary_weight_memory
from amsim.system.cost import SystemCost as SystemCost
from amsim.system.cost import evaluate as system_cost  # noqa: F401
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
from amsim.system.traffic import MEMORIES as MEMORIES
