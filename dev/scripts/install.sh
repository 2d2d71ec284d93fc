#!/bin/sh
# Make .venv from Python 3.11 or newer and install requirements/dev.txt into it.
# PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")/../.."

usable() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    # The newest last: not every package has a wheel for it.
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python python3.14}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or newer with its venv module is on PATH (Debian and Ubuntu keep" \
        "that in the package python3-venv); install one, or name one with PYTHON=" >&2
    return 1
}

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

echo "Installing the packages of requirements/dev.txt"
# The file lists every package, so pip need not look for more. Compiling all modules takes a third
# of the time; Python compiles a module at its first import.
.venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --no-compile \
    --progress-bar off --requirement requirements/dev.txt
touch .venv/installed
