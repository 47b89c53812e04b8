#!/usr/bin/env bash
# Everything a bare machine needs to run this project, in .venv and in the user's cache folder. Called by every target
# of the Makefile that runs something; takes a fraction of a second when nothing changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.8
VENV=$PWD/.venv

say() { echo "[setup] $*"; }
missing() { echo "[setup] missing: $*" >&2; exit 1; }

find_python() {
  local name
  for name in "${PYTHON_FOR_VENV:-}" python3.11 python3.12 python3; do
    [ -n "$name" ] || continue
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || continue
    "$name" -c 'import sys; print(sys.executable)'
    return
  done
  missing "Python 3.11 or 3.12: install one (Debian/Ubuntu: apt-get install python3.11 python3.11-venv python3.11-dev), or name it with PYTHON_FOR_VENV=/path/to/python"
}

check_java() {
  local java=java version
  [ -z "${JAVA_HOME:-}" ] || java=$JAVA_HOME/bin/java
  version=$("$java" -version 2>&1 | sed -nE '1,3s/.*version "([0-9]+).*/\1/p' | head -n 1) || true
  [ "${version:-0}" -ge 17 ] || missing "Java 17 or newer, found ${version:-none} (${JAVA_HOME:+JAVA_HOME=$JAVA_HOME, }Debian/Ubuntu: apt-get install openjdk-17-jre-headless)"
}

check_compiler() {
  echo 'int main() { return 0; }' | "${CXX:-g++}" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null ||
    missing "a C++ compiler that knows C++20 (GCC 10 or newer; Debian/Ubuntu: apt-get install build-essential)"
  "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    missing "the headers of $1, which Horovod is built with (Debian/Ubuntu: apt-get install python3-dev)"
}

# uv from PATH if there is one, else from a small venv of its own, which also has the pip that fetches Horovod's source.
get_uv() {
  if [ ! -x .uv/bin/pip ]; then
    rm -rf .uv
    "$1" -m venv .uv >/dev/null 2>&1 || missing "the venv module of $1 (Debian/Ubuntu: apt-get install python3-venv)"
  fi
  SETUP_PIP=$PWD/.uv/bin/pip
  SETUP_UV=$(command -v uv || true)
  if [ -z "$SETUP_UV" ]; then
    SETUP_UV=$PWD/.uv/bin/uv
    [ "$("$SETUP_UV" --version 2>/dev/null | cut -d ' ' -f 2)" = "$UV_VERSION" ] || "$SETUP_PIP" install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  fi
  export SETUP_PIP SETUP_UV
  # Whoever points pip at a mirror means uv too.
  local index
  index=${PIP_INDEX_URL:-$("$SETUP_PIP" config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
}

install_packages() {
  export UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_PROGRESS=1 VIRTUAL_ENV=$VENV
  "$VENV/bin/python" -c '' 2>/dev/null || { say "making .venv with $1"; "$SETUP_UV" venv --quiet --clear --python "$1" "$VENV"; }
  say "installing the locked packages (about 3 GB the first time)"
  "$SETUP_UV" pip sync --quiet --require-hashes requirements.lock
  "$VENV/bin/python" scripts/build_horovod.py
  "$SETUP_UV" pip install --quiet --no-deps --no-build-isolation --editable .
}

state() {
  # The folder is part of it: a venv that was moved or copied does not work.
  { echo "$PWD"; cat requirements.lock pyproject.toml scripts/setup.sh scripts/build_horovod.py; } | sha256sum | cut -d ' ' -f 1
}

main() {
  unset PYTHONDONTWRITEBYTECODE
  check_java
  local stamp=$VENV/.setup-stamp python start=$SECONDS
  if [ "$(cat "$stamp" 2>/dev/null)" != "$(state)" ] || [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    check_compiler "$python"
    get_uv "$python"
    install_packages "$python"
    state >"$stamp"
    say "packages ready in $((SECONDS - start)) s"
  fi
  "$VENV/bin/python" -S scripts/fetch_jars.py
}

main "$@"
