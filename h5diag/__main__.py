"""``python -m h5diag``."""

import sys

from h5diag.app.cli import main

sys.exit(main())
