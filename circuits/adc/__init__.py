"""Analog-to-digital converters of a line: decisions, errors, energy, time and area, and standard tests."""

from amsim.circuits.adc.capacitor_dac import DacLevels as DacLevels
from amsim.circuits.adc.capacitor_dac import Linearity as Linearity
from amsim.circuits.adc.capacitor_dac import bottom_plate_levels as bottom_plate_levels
from amsim.circuits.adc.capacitor_dac import linearity as linearity
from amsim.circuits.adc.capacitor_dac import shared_line_levels as shared_line_levels
from amsim.circuits.adc.capacitor_dac import split_levels as split_levels
from amsim.circuits.adc.capacitor_dac import transition_levels as transition_levels
from amsim.circuits.adc.converter import Converter as Converter
from amsim.circuits.adc.converter import ConverterDie as ConverterDie
from amsim.circuits.adc.flash import FlashAdc as FlashAdc
from amsim.circuits.adc.ideal import Adc as Adc
from amsim.circuits.adc.range_selection import select_range as select_range
from amsim.circuits.adc.sar import SarAdc as SarAdc
from amsim.circuits.adc.single_slope import SingleSlopeAdc as SingleSlopeAdc
from amsim.circuits.adc.survey import few_bit_energy as few_bit_energy
from amsim.circuits.adc.survey import survey_area as survey_area
from amsim.circuits.adc.survey import survey_energy as survey_energy
