"""``python -m h5diag``."""

import os
import sys

# Python puts the folder where it is started first: a module.py in a stranger's case folder would be taken for a
# library's. A checkout that is started in place stays first.
if sys.path and sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from h5diag.app.cli import main

sys.exit(main())
