#!/usr/bin/env bash
# keep_ptxas.sh COMPILER ... -o OBJECT ... : compiles; what ptxas says goes to OBJECT.ptxas, the rest to stderr.
set -uo pipefail
object=
for ((i = 1; i < $#; ++i)); do
  if [ "${!i}" = -o ]; then
    next=$((i + 1))
    object=${!next}
  fi
done
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
"$@" 2>"$messages"
code=$?
grep -v '^ptxas info\|^$\|bytes stack frame' "$messages" >&2
[ $code -eq 0 ] && [ -n "$object" ] && grep '^ptxas\|bytes stack frame' "$messages" >"$object.ptxas"
exit $code
