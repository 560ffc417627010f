"""One macro on the bench: transfer curves, error budgets, line values, measured tables and fitted parameters."""

from amsim.characterisation.budget import noise_budget as noise_budget
from amsim.characterisation.lines import line_values as line_values
from amsim.characterisation.lines import site_line_values as site_line_values
from amsim.characterisation.maximum_likelihood import Fit as Fit
from amsim.characterisation.maximum_likelihood import fit as fit
from amsim.characterisation.table import measured_macro as measured_macro
from amsim.characterisation.table import read_table as read_table
from amsim.characterisation.table import write_table as write_table
from amsim.characterisation.transfer import characterise as characterise
