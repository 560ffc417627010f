"""Deploys a JAX function on circuits: finds its products, replaces them, counts their cost."""

from amsim.deployment.calibration import Calibration as Calibration
from amsim.deployment.calibration import SiteRanges as SiteRanges
from amsim.deployment.chip import Chip as Chip
from amsim.deployment.chip import deploy as deploy
from amsim.deployment.mapping import DeploymentError as DeploymentError
from amsim.deployment.site_table import SiteTable as SiteTable
from amsim.deployment.storage import load_chip as load_chip
