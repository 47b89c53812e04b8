#!/usr/bin/env bash
# Resolve pyproject.toml to requirements.lock: every package with its hashes, for each Python and platform supported.
# The lock names no registry (--no-emit-index-url), so that it installs from the public one and from a company's mirror
# alike: the hashes say that it is the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .uv/bin/uv)
"$uv" pip compile pyproject.toml --all-extras --group feed --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 \
  --output-file requirements.lock "$@"
"$uv" pip compile --group docs --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 --output-file requirements-docs.lock
