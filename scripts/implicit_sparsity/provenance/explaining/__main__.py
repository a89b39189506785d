"""``python -m implicit_sparsity.provenance.explaining FILE [--all]``; one line on stderr where it cannot."""

import argparse
import sys

from implicit_sparsity.errors import InputError

from . import tree


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="explain", description="Where a number in a results file comes from."
    )
    parser.add_argument("file", help="a file or folder in results/")
    parser.add_argument("--all", action="store_true", help="every input, not the first few of each rule")
    given = parser.parse_args()
    try:
        for line in tree.lines(given.file, everything=given.all):
            print(line)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
