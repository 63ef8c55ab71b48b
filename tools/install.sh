#!/bin/sh
# Make .venv with the tested versions of what the course needs; called by the Makefile when it is absent or out of date.
# The stamp is written last, so an interrupted install is taken up again.
set -eu
cd "$(dirname "$0")/.."

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! { [ -x .venv/bin/python ] && suits .venv/bin/python; }; then
    python=""
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$name" >/dev/null && suits "$name"; then python=$name; break; fi
    done
    if [ -z "$python" ]; then
        echo "The course needs Python 3.11 or newer; found: $(python3 --version 2>&1 || true)." >&2
        echo "Install one, or name it: PYTHON=/path/to/python3.12 make run" >&2
        exit 1
    fi
    echo "making .venv with $($python --version)"
    "$python" -m venv --clear .venv || {
        echo "Python's venv module failed. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi
echo "installing into .venv: torch is large, this takes some minutes (once)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt || {
    echo "The install failed (see above): no network, no space, or no build of these versions for this Python." >&2
    exit 1
}
cat requirements.txt constraints.txt > .venv/installed.part
mv .venv/installed.part .venv/installed
