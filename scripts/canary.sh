#!/usr/bin/env bash
# Gives jobs to a new version of the program, if it works, is right and is not slower; otherwise everything stays, or goes
# back (docs/operations.md).
#   canary.sh --link LINK --candidate PROGRAM --stable PROGRAM --sample FILE [--minutes N] [--streams N] [--watch] [--out DIR]
#   canary.sh --link LINK --stable PROGRAM --back
# LINK is the name that jobs start; it is a symbolic link, and stays one. Further words behind -- go to each bench.
# Exit code: 0 the candidate has taken over (with --back: the stable one), 1 the stable one is in its place, 2 wrong arguments.
set -euo pipefail

usage() { sed -n '2,8p' "$0" >&2; exit 2; }
link='' candidate='' stable='' sample='' minutes=60 streams=4 watch='' out='' back=''
while [ $# -gt 0 ]; do
  case "$1" in
    --link | --candidate | --stable | --sample | --minutes | --streams | --out)
      [ $# -ge 2 ] || usage
      declare "${1#--}=$2"
      shift 2
      ;;
    --watch) watch=yes; shift ;;
    --back) back=yes; shift ;;
    --) shift; break ;;
    *) usage ;;
  esac
done
[ -n "$link" ] && [ -x "$stable" ] || usage
if [ -e "$link" ] && [ ! -L "$link" ]; then
  echo "$link is no symbolic link; it is not touched" >&2
  exit 2
fi

# In one step: a job that starts meanwhile finds the one or the other.
point_to() {
  ln -s "$(realpath "$1")" "$link.$$"
  mv -T "$link.$$" "$link"
  echo "$link is $1"
}

roll_back() {
  echo "$1" >&2
  point_to "$stable"
  exit 1
}

# Both versions take turns in each bench, so that what else the machine does falls on both.
beside() { "$candidate" bench "$@" --against "$stable" --quiet -y; }

if [ -n "$back" ]; then
  point_to "$stable"
  exit 0
fi
[ -x "$candidate" ] && [ -f "$sample" ] || usage
out=${out:-$(mktemp -d)}
mkdir -p "$out"
echo "reports are in $out"

"$candidate" doctor --json > "$out/doctor.json" || roll_back "the candidate does not work here (exit code $?)"
case " $* " in *" --protocol "*) protocol=() ;; *) protocol=(--protocol main) ;; esac
beside decode encode "$sample" --verify --json "$out/bench.json" "${protocol[@]}" "$@" \
  || roll_back "the candidate is slower, or an output is wrong (exit code $?)"
[ -z "$watch" ] || point_to "$candidate"
beside soak --minutes "$minutes" --streams "$streams" --json "$out/soak.json" "$@" \
  || roll_back "a limit was broken (exit code $?)"
point_to "$candidate"
