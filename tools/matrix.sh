#!/usr/bin/env bash
# matrix.sh [SUITE...]: from a fresh clone of what is committed, as a plain user in a bare Debian 12 and a bare Debian 13:
# set up with the network, then `make test` and `make demo` with none but loopback.
# Needs root, debootstrap and a Debian mirror. MATRIX= names the folder of the systems, TARGETS= what to make.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
base=${MATRIX:-/var/tmp/r.impervious-matrix}
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
[ "$(id -u)" -eq 0 ] || { echo "ERROR: User $(id -un) is not root and cannot make systems in '$base'. Run sudo make matrix." >&2; exit 1; }
command -v debootstrap >/dev/null || { apt-get -q update && apt-get -q install -y debootstrap; } || exit 1

# A network of its own has no way out; its loopback is switched on by hand, since a bare system lacks the program for that.
loopback='import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'

inside() { # SUITE COMMAND [--net]: as the plain user, with this machine's settings for apt and pip and nothing else of it
  local root=$base/$1 keep=(HOME=/home/user USER=user LANG=C.UTF-8 TERM=dumb CI=true PATH=/usr/sbin:/usr/bin:/sbin:/bin) name
  for name in $(compgen -e | grep -E '^(PIP_|SSL_CERT|REQUESTS_CA|CURL_CA)'); do keep+=("$name=${!name}"); done
  # shellcheck disable=SC2016
  unshare --mount ${3:-} --propagation private bash -c '
    root=$1; shift
    if [ "$2" ]; then python3 -c "$2" || exit 1; fi
    for m in proc sys dev dev/pts dev/shm; do mkdir -p "$root/$m" && mount --bind "/$m" "$root/$m" || exit 1; done
    if [ -d /opt ]; then mkdir -p "$root/opt" && mount --bind -o ro /opt "$root/opt"; fi
    exec env -i "${@:3}" chroot --userspec=user:user "$root" bash -lc "cd && $1"' bash "$root" "$2" "${3:+$loopback}" "${keep[@]}"
}

bare() { # SUITE: a bare system with git, make, sudo and a plain user, made once
  local root=$base/$1
  [ -e "$root/.made" ] && return
  mkdir -p "$base"
  debootstrap --variant=minbase --include=ca-certificates,git,make,sudo "$1" "$root" >"$root.log" 2>&1 || return 1
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp /etc/pip.conf "$root/etc/" 2>/dev/null
  cp /etc/apt/apt.conf.d/99* "$root/etc/apt/apt.conf.d/" 2>/dev/null
  chroot "$root" useradd -m -s /bin/bash user
  echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
  touch "$root/.made"
}

failed=0
for suite in "${suites[@]}"; do
  echo "== $suite"
  bare "$suite" || { echo "$suite: debootstrap could not make a bare system. Read '$base/$suite.log'." >&2; failed=1; continue; }
  rm -rf "$base/$suite/home/user/project"
  git clone -q --no-hardlinks "$top" "$base/$suite/home/user/project" && chown -R 1000:1000 "$base/$suite/home/user/project" || { failed=1; continue; }
  began=$SECONDS
  inside "$suite" "cd project && tools/setup.sh test" </dev/null >"$base/$suite.setup.txt" 2>&1 || { echo "$suite: set-up FAILED. Read '$base/$suite.setup.txt'."; failed=1; continue; }
  echo "$suite: set-up passed in $((SECONDS - began)) s"
  for target in ${TARGETS:-test demo}; do
    began=$SECONDS log=$base/$suite.$target.txt
    if inside "$suite" "cd project && make $target" --net </dev/null >"$log" 2>&1; then word=passed; else word=FAILED failed=1; fi
    echo "$suite: make $target $word in $((SECONDS - began)) s: $(grep -E 'passed|failed|In all' "$log" | tail -n 1)"
  done
done
exit $failed
