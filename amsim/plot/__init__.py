"""Pictures of computed results; every function but `plot_comparison` draws into one Axes and returns it.

Nothing is simulated or shown here, and no setting of other figures is touched. Colours are safe for colour-blind
readers; markers and hatches tell things apart in grey print. `paper_style` makes pictures for a column.
"""

from amsim.plot.cascade import plot_cascade as plot_cascade
from amsim.plot.cascade import plot_power_curve as plot_power_curve
from amsim.plot.characteristic import plot_error_histogram as plot_error_histogram
from amsim.plot.characteristic import plot_transfer_curve as plot_transfer_curve
from amsim.plot.circuit import plot_linearity as plot_linearity
from amsim.plot.circuit import plot_noise_budget as plot_noise_budget
from amsim.plot.circuit_table import plot_circuit_table as plot_circuit_table
from amsim.plot.comparison import plot_accuracy_energy as plot_accuracy_energy
from amsim.plot.comparison import plot_comparison as plot_comparison
from amsim.plot.comparison import plot_energy_breakdown as plot_energy_breakdown
from amsim.plot.die import plot_die_map as plot_die_map
from amsim.plot.exploration import plot_exploration as plot_exploration
from amsim.plot.lines import plot_line_values as plot_line_values
from amsim.plot.pareto import plot_pareto as plot_pareto
from amsim.plot.sensitivity import plot_sensitivity as plot_sensitivity
from amsim.plot.sources import plot_switched_sources as plot_switched_sources
from amsim.plot.study import plot_sweep as plot_sweep
from amsim.plot.study_map import plot_sweep_map as plot_sweep_map
from amsim.plot.style import paper_style as paper_style
from amsim.plot.system import plot_energy_sweep as plot_energy_sweep
from amsim.plot.system import plot_roofline as plot_roofline
from amsim.plot.system import plot_utilisation as plot_utilisation
from amsim.plot.validation import plot_validation as plot_validation
from amsim.plot.yields import plot_yield as plot_yield
