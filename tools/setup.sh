#!/usr/bin/env bash
# setup.sh [-y] [demo|test]: install what the suite needs on a Debian system and what is not there yet.
#   demo   GRASS, its development files, a compiler's front end for g.extension, the Python packages (default)
#   test   the same, Chromium for the tests of the dashboard, and GDAL's programs as foreign readers
#   --where   print the folder of the virtual environment and do nothing
# It lists what is missing and asks first; -y, ASSUME_YES=1, CI or no terminal mean yes. PYTHON= names another interpreter than
# /usr/bin/python3, VENV= another folder for the packages. The folder is outside the checkout, since g.extension copies all of that.
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
    *) die "Argument '$word' is unknown. Use -y, demo, test or --where; the head of tools/setup.sh explains them." ;;
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
# g.extension of GRASS 8.2 requires svn, later ones do not. If GRASS is not installed yet, the release of Debian tells its version.
release=$(grass --config version 2>/dev/null || { . /etc/os-release && [ "${VERSION_ID:-}" = 12 ] && echo 8.2; } || true)
case $release in 8.[0-3]*) have svn || need subversion ;; esac
[ -n "${PYTHON:-}" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
[ "$what" = demo ] || have chromium || need chromium
# The tests read the files of the suite with the GDAL of the system too.
[ "$what" = demo ] || have gdalinfo || need gdal-bin

# --- Python packages, by pip
packages_ready() { have "$python" && lock_and_folder && [ -e "$venv/.complete" ]; }

if [ ${#packages[@]} -eq 0 ] && packages_ready; then
  exit 0
fi
say "r.impervious needs these packages, which this system lacks:"
[ ${#packages[@]} -eq 0 ] || say "  by apt-get: ${packages[*]}"
packages_ready || say "  by pip: the packages in lock/ (2.9 to 3.1 GB on disk), in a virtual environment of their own"
if [ -z "$yes" ]; then
  read -r -p "Install them now? [y/N] " answer
  case $answer in [yY]*) ;; *) die "Nothing was installed. Run this again, or install the packages yourself." ;; esac
fi

if [ ${#packages[@]} -gt 0 ]; then
  have apt-get || die "This system has no apt-get; Debian 12 and 13 are supported. Install these yourself: ${packages[*]}."
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "User $(id -un) cannot install packages without sudo. Run as root: apt-get install ${packages[*]}."
    as_root=(sudo)
  fi
  say "Installing by apt-get: ${packages[*]}"
  log=$(mktemp)
  apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
  # The packages may be available although the update failed.
  apt update || say "apt-get update failed; continuing with the present package lists."
  apt install -y --no-install-recommends "${packages[@]}" || { tail -n 15 "$log" >&2; die "apt-get could not install ${packages[*]}. Read the log '$log'."; }
  rm -f "$log"
fi

lock_and_folder
[ -n "$digest" ] || die "Python ${version:0:1}.${version:1} is not supported. Name an interpreter of version 3.11 or 3.13 with PYTHON=."
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
      [ "$old" = "$venv/" ] || say "'$old' holds the packages of another lock. Delete it if no other checkout uses it."
    done
  fi
fi
say "Set-up is complete."
