"""``python -m corpus``."""

from corpus.generate import main

main()
