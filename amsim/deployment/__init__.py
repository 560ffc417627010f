"""Deploys a JAX function on circuits: finds its products, replaces them, counts their cost."""

from amsim.deployment.chip import Chip as Chip
from amsim.deployment.front_door import deploy as deploy
from amsim.deployment.front_door import load_chip as load_chip
from amsim.deployment.mapping.mapper import DeploymentError as DeploymentError
from amsim.deployment.mapping.site_table import SiteTable as SiteTable
from amsim.deployment.program_cache import compilation_cache as compilation_cache
from amsim.deployment.site_ranges import Calibration as Calibration
from amsim.deployment.site_ranges import SiteRanges as SiteRanges
from amsim.deployment.workload_from_shapes import network_workload as network_workload
