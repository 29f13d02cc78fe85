# Sourced by demo.sh. `run STAGE COMMAND...` prints the command, runs it, and writes its time to steps/STAGE.
# A step is skipped if it was finished before with the same command, the same steps before it and the same code ($SOURCES).
mkdir -p steps maps
before=
run() {
  local stage=$1 key start
  shift
  # The address of the catalogue differs from run to run, so it does not count.
  key=$(printf '%s\n' "$before" "$SOURCES" "${@/$STAC/STAC}" | sha256sum | cut -c1-32)
  before=$key
  printf '\n$ %s\n' "$(words "$@")" >&2
  words "$@" >>commands.txt
  if [ -z "${AGAIN:-}" ] && [ -s "steps/$stage" ] && [ "$(head -n 1 "steps/$stage")" = "$key" ]; then
    echo "  (skipped: finished before, in $(tail -n 1 "steps/$stage") s)" >&2
    return
  fi
  rm -f "steps/$stage"
  start=$(date +%s.%N)
  "$@"
  awk -v key="$key" -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%s\n%.1f\n", key, b - a }' >"steps/$stage.part"
  mv "steps/$stage.part" "steps/$stage"
}
words() {
  local word line=
  for word in "$@"; do case $word in *[!A-Za-z0-9_./:=,+-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac; done
  printf '%s\n' "${line# }"
}
