"""Where the checkout is, and where the real images are that some tests need."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("UPSWEEP_TEST_DATA", ROOT.parent / "shared" / "data"))
