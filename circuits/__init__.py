"""Circuit blocks and the macros built from them."""

from amsim.circuits.comparator import Comparator as Comparator
from amsim.circuits.converters import Adc as Adc
from amsim.circuits.converters import BiasDac as BiasDac
from amsim.circuits.digital_binary import DigitalBinary as DigitalBinary
from amsim.circuits.exact import Exact as Exact
from amsim.circuits.macro import Macro as Macro
from amsim.circuits.macro import MacroCost as MacroCost
from amsim.circuits.macro import Work as Work
from amsim.circuits.memories import Dram as Dram
from amsim.circuits.memories import Sram as Sram
from amsim.circuits.multi_precision import MultiPrecision as MultiPrecision
from amsim.circuits.neuron import Neuron as Neuron
from amsim.circuits.operands import IntegerCode as IntegerCode
from amsim.circuits.operands import ValueRange as ValueRange
from amsim.circuits.products import ConvolutionProduct as ConvolutionProduct
from amsim.circuits.products import DenseProduct as DenseProduct
from amsim.circuits.products import Product as Product
from amsim.circuits.switched_capacitor import SwitchedCapacitor as SwitchedCapacitor
from amsim.circuits.technology import Technology as Technology
