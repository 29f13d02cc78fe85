#!/usr/bin/env bash
# lock.sh [--upgrade]: write lock/py311.txt and lock/py313.txt from requirements-dev.txt: exact versions, all as wheels.
# Versions that are locked already stay as they are; with --upgrade each package takes its newest version. Maintainers run it.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p lock
upgrade=${1:-}
[ -z "$upgrade" ] || [ "$upgrade" = --upgrade ] || { echo "ERROR: Argument '$upgrade' is unknown. Use --upgrade, or no argument." >&2; exit 1; }
# Named once: the environment's name holds the digest of a lock file, which changes below.
export VENV=${VENV:-$(tools/setup.sh --where)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 3.11 3.13; do
  name=py${version/./}
  keep=()
  [ "$upgrade" ] || [ ! -e "lock/$name.txt" ] || keep=(--constraint "lock/$name.txt")
  tools/in-venv python3 -m pip install --quiet --dry-run --ignore-installed --only-binary=:all: --python-version "$version" \
    --target "$work/none" --report "$work/$name.json" ${keep[@]+"${keep[@]}"} -r requirements-dev.txt
  tools/in-venv python3 - "$work/$name.json" "$version" >"$work/$name.txt" <<'PY'
import json
import sys

report, version = sys.argv[1:]
with open(report, encoding="utf-8") as file:
    found = sorted((i["metadata"]["name"].lower(), i["metadata"]["version"]) for i in json.load(file)["install"])
print(f"# Python {version}: exact versions for requirements-dev.txt, written by tools/lock.sh.")
for name, exact in found:
    print(f"{name}=={exact}")
PY
  mv "$work/$name.txt" "lock/$name.txt"
  echo "lock/$name.txt: $(grep -c == "lock/$name.txt") packages"
done
