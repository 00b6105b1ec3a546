"""``python -m h5diag``, and what the command ``h5diag`` starts."""

import gc
import os
import sys


def main() -> int:
    """Run the command line; a Ctrl-C while it is still being loaded is no accident either."""
    # What a command loads stays until it ends: to look through it for garbage at every 700 new objects takes about a
    # tenth of a diagnosis and frees next to nothing.
    gc.set_threshold(100_000, 20, 20)
    try:
        from h5diag.app.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # Python puts the folder where it is started first: a module.py in a stranger's case folder would be taken for a
    # library's. A checkout that is started in place stays first.
    if sys.path and sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        del sys.path[0]
    sys.exit(main())
