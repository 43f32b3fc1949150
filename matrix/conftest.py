"""Makes `pytest matrix/` run the cells of subjects.yaml.

The plugin's own tests in tests/ are a suite of their own: `pytest matrix/tests`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from counterpart_pytest.plugin import (  # noqa: F401
    pytest_addoption,
    pytest_collect_file,
    pytest_configure,
    pytest_configure_node,
    pytest_sessionfinish,
    pytest_xdist_make_scheduler,
)

collect_ignore = ["tests", "counterpart_pytest"]
