"""Any result as tables, as a picture and as a page."""

from amsim.report.comparison import comparison_tables as comparison_tables
from amsim.report.page import write_report as write_report
from amsim.report.picture import result_picture as result_picture
from amsim.report.result_file import open_result as open_result
from amsim.report.result_file import store_progress as store_progress
from amsim.report.tables import provenance_lines as provenance_lines
from amsim.report.tables import result_tables as result_tables
