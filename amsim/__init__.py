"""Networks on analog and digital multiply-accumulate circuits: accuracy, energy, latency and area together."""

from amsim import measurement as measurement
from amsim import parameter_fit as parameter_fit
from amsim import spice as spice
from amsim import workloads as workloads
from amsim.accelerator import Accelerator as Accelerator
from amsim.batch_statistics import reestimated as reestimated
from amsim.calibration import calibrate as calibrate
from amsim.circuit_table import circuit_table as circuit_table
from amsim.comparison import compare as compare
from amsim.datasets import load_dataset as load_dataset
from amsim.deployment import Calibration as Calibration
from amsim.deployment import Chip as Chip
from amsim.deployment import DeploymentError as DeploymentError
from amsim.deployment import SiteRanges as SiteRanges
from amsim.deployment import deploy as deploy
from amsim.deployment import load_chip as load_chip
from amsim.detection import evaluate_detector as evaluate_detector
from amsim.evaluation import evaluate as evaluate
from amsim.foreign import load_onnx as load_onnx
from amsim.foreign import load_weights as load_weights
from amsim.noise_budget import noise_budget as noise_budget
from amsim.repairs import repair as repair
from amsim.validation import validate as validate
