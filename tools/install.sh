#!/usr/bin/env bash
# install.sh [TOOL...]: install the suite, or the tools named, into GRASS by g.extension from a clean copy of this checkout,
# and check that each tool answers, since the exit status of g.extension does not show it. GRASS_ADDON_BASE= names the folder.
# g.extension copies and rewrites everything in the folder it is given, also virtual environments and data; hence the clean copy.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
read -r -a all < <(make -s -C "$top" tools)
for tool in "$@"; do
  [[ " ${all[*]} " = *" $tool "* ]] || { echo "ERROR: Tool <$tool> does not exist. TOOLS= takes: ${all[*]}." >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/r.impervious"
if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
  (cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d -- 2>/dev/null | tar -c -T - -f -) | tar -x -C "$work/r.impervious" -f -
else
  tar -c -C "$top" --exclude=./build --exclude=./.venv --exclude=./.git --exclude=__pycache__ -f - . | tar -x -C "$work/r.impervious" -f -
fi

# GRASS 8.4 asks the git server of the official addons for a branch, and fails where it cannot: an empty one answers here.
git -c init.defaultBranch=grass8 init --quiet --bare "$work/remote.git"
tree=$(git -C "$work/remote.git" hash-object -w -t tree /dev/null)
commit=$(git -C "$work/remote.git" -c user.name=install -c user.email=install@localhost commit-tree -m "Empty" "$tree")
git -C "$work/remote.git" update-ref refs/heads/grass8 "$commit"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=url.file://$work/remote.git.insteadOf GIT_CONFIG_VALUE_0=https://github.com/OSGeo/grass-addons/

# GRASS 8.4 keeps a copy of that server's repository beside the addons: ours is a stand-in and must not stay there.
base=${GRASS_ADDON_BASE:-$HOME/.grass8/addons}
kept=$base/grass-addons
[ -e "$kept" ] || trap 'rm -rf "$work" "$kept"' EXIT

extension() {
  local name=$1 url=$2 log=$work/$1.log
  grass --tmp-location XY --exec g.extension extension="$name" url="$url" >"$log" 2>&1 || true
}
if [ $# -eq 0 ]; then
  tools=("${all[@]}")
  extension r.impervious "$work/r.impervious"
else
  tools=("$@")
  for tool in "$@"; do extension "$tool" "$work/r.impervious/$tool"; done
fi

failed=0
for tool in "${tools[@]}"; do
  if ! grass --tmp-location XY --exec "$tool" --interface-description >"$work/xml" 2>"$work/err" ||
    ! grep -q '</task>' "$work/xml" || [ ! -e "$base/etc/$tool/imperviouslib/__init__.py" ]; then
    echo "ERROR: Tool <$tool> does not answer, or lacks its library, after the installation. The last lines of g.extension and of the tool:" >&2
    tail -n 8 "$work"/*.log "$work/err" >&2
    failed=1
  fi
done
[ $failed -eq 0 ] || exit 1
echo "Installed: ${tools[*]}"
# Who names a folder for the addons, as the demo does, starts GRASS in their own way.
[ -z "${GRASS_ADDON_BASE:-}" ] || exit 0
if [ -e "$("$top/tools/setup.sh" --where)/.complete" ]; then
  echo "Start GRASS with the Python that has the packages: eval \"\$(make -s env)\" and then grass"
else
  echo "The Python packages that the tools need are not installed yet. Run tools/setup.sh."
fi
