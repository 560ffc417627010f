"""Physical lines of a switched-capacitor die as a netlist, and their simulation by ngspice."""

from amsim.spice.comparison import run as run
from amsim.spice.deck import write as write
from amsim.spice.simulator import SpiceError as SpiceError
