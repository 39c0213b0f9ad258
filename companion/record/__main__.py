"""``python -m companion.record``."""

import sys

from companion.record.command import main
from companion.study.pages import spelt_out

if __name__ == "__main__":
    spelt_out()
    sys.exit(main())
