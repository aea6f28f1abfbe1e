"""wordsight, and python -m wordsight"""

import sys

from wordsight.interruption import interrupted


def main() -> None:
    """The command line, whose imports take a while, too."""
    try:
        from wordsight.cli import main as run
    except KeyboardInterrupt:
        sys.exit(interrupted())
    run()


if __name__ == "__main__":
    main()
