"""Any result as tables and pictures."""

from amsim.report.comparison import comparison_tables as comparison_tables
from amsim.report.picture import result_picture as result_picture
from amsim.report.result_file import open_result as open_result
from amsim.report.result_file import stored_part as stored_part
from amsim.report.tables import facts as facts
from amsim.report.tables import result_tables as result_tables
