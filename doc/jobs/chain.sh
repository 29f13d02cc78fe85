#!/usr/bin/env bash
# chain.sh SETTINGS: the whole chain for a country or a tile, from scenes to the table. Run it again after any end: it goes on where it was.
#
# SETTINGS is a file such as settings.sh. STEPS="fetch yearly" in the environment runs these steps only. In WORK, done/ has a file for each
# finished step, reports/ the JSON that a tool printed, log/ its messages, and job.json how the last run ended.
# Exit status: 0 all steps are done, 1 a step failed (log/STEP.txt says why), 2 the settings are wrong.
set -uo pipefail

[ $# = 1 ] && [ -r "$1" ] || { echo "ERROR: Name a file of settings: chain.sh SETTINGS" >&2; exit 2; }
settings=$(realpath "$1")
WHERE= MODEL= READINGS= FETCH= YEARLY= ARD= TRAIN= PREDICT= SAMPLE= CHANGE=
source "$settings"
for name in WORK GRASSDB LOCATION MAPSET REGION YEARS STAC LABELS LEGEND LABEL_YEAR OUTLINES COLUMN NPROCS; do
  [ -n "${!name:-}" ] || { echo "ERROR: $name is not set in '$settings'." >&2; exit 2; }
done

if [ -z "${JOB_IN_GRASS:-}" ]; then
  mkdir -p "$WORK" "$GRASSDB" || exit 2
  # Jobs that start together: one of them makes the location.
  exec 9>"$GRASSDB/.$LOCATION.lock"
  flock 9
  [ -e "$GRASSDB/$LOCATION/PERMANENT" ] || grass -c EPSG:3035 -e "$GRASSDB/$LOCATION" >/dev/null || exit 2
  [ -e "$GRASSDB/$LOCATION/$MAPSET" ] || grass -c -e "$GRASSDB/$LOCATION/$MAPSET" >/dev/null || exit 2
  exec 9>&-
  JOB_IN_GRASS=1 exec grass "$GRASSDB/$LOCATION/$MAPSET" --exec bash "$(realpath "$0")" "$settings"
fi

cd "$WORK" && mkdir -p done reports log || exit 2
key=

# ended STATE STEP STATUS: write job.json
ended() {
  python3 - "$@" >job.json.part <<'PY' && mv job.json.part job.json
import json, pathlib, sys
state, step, status = sys.argv[1:]
log = pathlib.Path("log") / f"{step}.txt"
errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR")] if step and log.exists() else []
done = {path.name: float(path.read_text().split()[1]) for path in sorted(pathlib.Path("done").iterdir())}
print(json.dumps({"state": state, "step": step, "status": int(status), "error": (errors or [""])[-1], "seconds": done}, indent=1))
PY
}

# step [-o] [-k FILE] NAME COMMAND...: run a step unless it is done with the same settings, or FILE exists. -o: its output is replaced as a whole.
step() {
  local again= name began kept=
  if [ "$1" = -o ]; then again=--overwrite; shift; fi
  if [ "$1" = -k ]; then kept=$2; shift 2; fi
  name=$1
  shift
  key=$(printf '%s\n' "$key" "$@" | sha256sum | cut -c1-32)
  case " ${STEPS:-$name} " in *" $name "*) ;; *) return 0 ;; esac
  [ ! -e "$kept" ] || return 0
  if [ -s "done/$name" ]; then
    [ "$(cut -d ' ' -f 1 "done/$name")" != "$key" ] || return 0
    again=--overwrite # It was done with other settings.
  fi
  echo "$name: $*" >&2
  began=$SECONDS
  "$@" ${again:+"$again"} >"reports/$name.part" 2>"log/$name.txt"
  status=$?
  if [ $status -ne 0 ]; then
    rm -f "reports/$name.part"
    ended failed "$name" $status
    echo "ERROR: Step $name failed. Its messages are in '$WORK/log/$name.txt'. Solve it and run the same job again." >&2
    exit 1
  fi
  if [ -s "reports/$name.part" ]; then mv "reports/$name.part" "reports/$name.json"; else rm -f "reports/$name.part"; fi
  printf '%s %s\n' "$key" $((SECONDS - began)) >"done/.$name" && mv "done/.$name" "done/$name"
}

# The options of a tool are words, so they are not quoted here.
# shellcheck disable=SC2086
{
  g.region -a $REGION res=20 || exit 2
  step -o labels r.in.gdal -r input="$LABELS" output=labels
  step -o regions v.in.ogr input="$OUTLINES" output=regions where="$WHERE"
  step fetch r.s2.fetch stac="$STAC" output=scenes years="$YEARS" nprocs="$NPROCS" format=json $FETCH
  step yearly r.s2.yearly input=scenes output=s2 years="$YEARS" nprocs="$NPROCS" format=json $YEARLY
  step -o ard r.s2.ard input=s2 years="$YEARS" labels=labels legend="$LEGEND" label_year="$LABEL_YEAR" output=place.nc format=json $ARD
  [ -n "$MODEL" ] || step -o train r.unet.train input=place.nc output=model format=json $TRAIN
  step predict r.unet.predict input=place.nc model="${MODEL:-model}" output=lc years="$YEARS" nprocs="$NPROCS" $PREDICT
  # A sample that people may be reading is never drawn again.
  [ -z "$SAMPLE" ] ||
    step -k sample/design.json sample r.impervious.sample -s input=lc output=sample zones=regions column="$COLUMN" composites=s2 format=json $SAMPLE
  step -o change r.impervious.change input=lc years="$YEARS" zones=regions column="$COLUMN" output=table nprocs="$NPROCS" format=json \
    ${READINGS:+design=sample/design.json sample="$READINGS"} $CHANGE
}
ended finished "" 0
