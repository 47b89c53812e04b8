#!/usr/bin/env bash
# The documentation as a site, in build/site. MkDocs has an environment of its own, .docs, which `make setup` knows nothing of: the
# project's packages are neither needed nor changed. Any warning fails.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.docs/.stamp
if [ "$(cat "$stamp" 2>/dev/null)" != "$(sha256sum <requirements-docs.lock)" ]; then
  echo "[docs] making .docs"
  "${PYTHON_FOR_VENV:-python3}" -m venv --clear .docs
  .docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
  sha256sum <requirements-docs.lock >"$stamp"
fi
# Material tells at each start of what its makers plan.
NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --strict --quiet "$@"
echo "build/site/index.html"
