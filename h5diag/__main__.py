"""``python -m h5diag``."""

import sys

from h5diag.cli import main

sys.exit(main())
