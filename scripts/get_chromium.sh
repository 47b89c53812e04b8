#!/usr/bin/env bash
# A headless Chromium for `make test-look` and scripts/look_at_reports.py: one that is there already, or Debian's package, if this
# is root's shell on a machine with apt-get. Ends with 1, and says what to do, where neither is so.
set -euo pipefail
cd "$(dirname "$0")/.."

find_it() { .venv/bin/python -c 'from tests.look.browser import find_chromium; print(find_chromium() or "")'; }

found=$(find_it)
if [ -z "$found" ] && [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "[look] installing chromium-headless-shell (100 MB)"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium-headless-shell; } >/dev/null || true
  found=$(find_it)
fi
if [ -z "$found" ]; then
  .venv/bin/python -c 'from tests.look.browser import HOW; import sys; sys.exit("[look] " + HOW)'
fi
"$found" --version
