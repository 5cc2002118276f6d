#!/bin/sh
# usage: no_shared_code.sh NM OBJECT...
# Fails if an object holds a weak symbol: an inline function of a header, compiled for that object's instruction set, of
# which the linker keeps one copy for the whole program.
nm=$1
shift
[ $# -gt 0 ] || { echo "no object files given"; exit 1; }
found=$("$nm" -C "$@" | grep -E '^[0-9a-f]+ W ' | sort -u)
[ -z "$found" ] && exit 0
echo "shared inline code in kernels of one instruction set:"
echo "$found"
exit 1
