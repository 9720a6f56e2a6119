#!/bin/sh
# at_once.sh PROGRAM LIST...: runs the specs of each list (words in one argument) at the same time, each list in a process
# of its own. Prints what they print, one after the other, and the sum of their last lines.
program=$1
shift
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
n=0 processes='' status=0
for list in "$@"; do
  n=$((n + 1))
  $program spec/run.lua -- $list >"$logs/$n" 2>&1 &
  processes="$processes $!"
done
for process in $processes; do
  wait "$process" || status=$?
done
cat "$logs"/*
echo
sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$logs"/* |
  awk '{ p += $1; f += $2; s += $3 } END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }'
exit $status
