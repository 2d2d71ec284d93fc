"""Start a measurement by name: `make bench ARGS="scale --small"`.

Without a name dev/bench/performance.py measures all figures beside a control's. The parts have
names too, as in `make bench ARGS=calls`. `--help` after a name lists its options.
"""

import sys
from importlib import import_module

PARTS = ("calls", "first-token", "idle-streams", "startup")
MODULES = {
    "replies": "replies",
    "context": "context",
    "scale": "scale",
    "back-office": "back_office",
    "attacks": "attacks",
}


def resolve(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the module to run and the arguments for the module. Raises SystemExit."""
    if not arguments or arguments[0].startswith("-"):
        return "performance", arguments
    name, *rest = arguments
    if name in PARTS:
        return "performance", ["--only", name, *rest]
    if name in MODULES:
        return MODULES[name], rest
    sys.exit(f"error: no measurement {name}: name one of {', '.join([*PARTS, *MODULES])}")


if __name__ == "__main__":
    module, rest = resolve(sys.argv[1:])
    sys.argv[1:] = rest
    import_module(f"dev.bench.{module}").main()
