#!/usr/bin/env bash
# setup.sh [-y] [demo|test]: bring what the suite needs onto a Debian system, and nothing that is there already.
#   demo   GRASS, its development files, a compiler's front end for g.extension, the Python packages (default)
#   test   the same, Chromium for the tests of the dashboard, and GDAL's programs as foreign readers
#   --where   print the folder of the virtual environment and do nothing
# Says first what is missing and asks; -y, ASSUME_YES=1, CI or no terminal mean yes. PYTHON= names another interpreter than
# /usr/bin/python3, VENV= another folder for the packages. They lie outside the checkout, since g.extension copies that whole.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*"; }
die() { printf 'ERROR: %s\n' "$*" >&2; exit 1; }

yes=${ASSUME_YES:+1}${CI:+1}
[ -t 0 ] || yes=1
what=demo
for word in "$@"; do
  case $word in
    -y | --yes) yes=1 ;;
    demo | test) what=$word ;;
    --where) what=where ;;
    *) die "Argument '$word': found no such word, expected -y, demo, test or --where. See the head of tools/setup.sh." ;;
  esac
done

python=${PYTHON:-/usr/bin/python3}
lock_and_folder() {
  version=$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])')
  lock=$top/lock/py$version.txt
  digest=$(sha256sum "$lock" 2>/dev/null | cut -c1-12) || true
  venv=${VENV:-${XDG_DATA_HOME:-$HOME/.local/share}/r.impervious/py$version-$digest}
}

if [ "$what" = where ]; then
  lock_and_folder
  say "$venv"
  exit 0
fi

# --- programs, by apt
packages=()
need() { packages+=("$@"); }
have() { command -v "$1" >/dev/null 2>&1; }
grass_path=$(grass --config path 2>/dev/null) || need grass-core
[ -n "${grass_path:-}" ] && [ -e "$grass_path/include/Make/Module.make" ] || need grass-dev
for program in gcc make git; do have "$program" || need "$program"; done
# g.extension of GRASS 8.2 insists on svn, later ones do not; before GRASS is there, Debian's release tells which comes.
release=$(grass --config version 2>/dev/null || { . /etc/os-release && [ "${VERSION_ID:-}" = 12 ] && echo 8.2; } || true)
case $release in 8.[0-3]*) have svn || need subversion ;; esac
[ -n "${PYTHON:-}" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
[ "$what" = demo ] || have chromium || need chromium
# The tests let the system's own GDAL read what the suite writes.
[ "$what" = demo ] || have gdalinfo || need gdal-bin

# --- Python packages, by pip
packages_ready() { have "$python" && lock_and_folder && [ -e "$venv/.complete" ]; }

if [ ${#packages[@]} -eq 0 ] && packages_ready; then
  exit 0
fi
say "r.impervious needs, and this system lacks:"
[ ${#packages[@]} -eq 0 ] || say "  by apt-get: ${packages[*]}"
packages_ready || say "  by pip: the packages in lock/ (about 2.5 GB on disk), in a virtual environment of their own"
if [ -z "$yes" ]; then
  read -r -p "Install them now? [y/N] " answer
  case $answer in [yY]*) ;; *) die "Set-up: found 'no', expected leave to install. Run it again, or install these yourself." ;; esac
fi

if [ ${#packages[@]} -gt 0 ]; then
  have apt-get || die "This system: found no apt-get, expected Debian 12 or 13. Install yourself: ${packages[*]}."
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "User $(id -un): found no sudo, expected leave to install. As root: apt-get install ${packages[*]}."
    as_root=(sudo)
  fi
  say "Installing by apt-get: ${packages[*]}"
  log=$(mktemp)
  apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
  # A failed update is no reason to stop where the packages are at hand anyway.
  apt update || say "apt-get update failed; going on with the lists at hand."
  apt install -y --no-install-recommends "${packages[@]}" || { tail -n 15 "$log" >&2; die "apt-get: found a failure, expected ${packages[*]} to be installed. The log is '$log'."; }
  rm -f "$log"
fi

lock_and_folder
[ -n "$digest" ] || die "Python ${version:0:1}.${version:1}: found no lock file, expected 3.11 or 3.13. Name one of these with PYTHON=."
if [ ! -e "$venv/.complete" ]; then
  mkdir -p "$(dirname "$venv")"
  # Two set-ups at once (two clones, one user): the second waits and then finds all done.
  exec 9>"$venv.lock"
  flock 9
  if [ ! -e "$venv/.complete" ]; then
    say "Installing the Python packages of lock/py$version.txt into '$venv' (some minutes)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r "$lock"
    touch "$venv/.complete"
    for old in "${venv%-*}"-*/; do
      [ "$old" = "$venv/" ] || say "The packages of another lock are in '$old'; delete that if no other checkout uses it."
    done
  fi
fi
say "Set-up is complete."
