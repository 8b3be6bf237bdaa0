#!/bin/sh
# The whole test suite, in three sessions of pytest: what computes runs side by side, what starts servers and watches the clock
# runs alone. Ends with one line for all of them, in pytest's form, and fails if one of them does.
python=$1
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
begun=$(date +%s)

session() {  # name, paths...
    name=$1
    shift
    { "$python" -m pytest "$@"; echo $? >"$log/$name.status"; } >"$log/$name" 2>&1
}

show() {  # name
    cat "$log/$1"
}

session unit tests/unit &
session conformance tests/conformance
wait
show unit
show conformance
{ "$python" -m pytest tests/faults tests/integration; echo $? >"$log/rest.status"; } 2>&1 | tee "$log/rest"

count() {  # outcome
    grep -hE '^(=+ )?[0-9]+ (passed|failed|skipped).* in [0-9.]+s' "$log/unit" "$log/conformance" "$log/rest" |
        grep -oE "[0-9]+ $1" | awk '{total += $1} END {print total + 0}'
}

seconds=$(($(date +%s) - begun))
line="$(count passed) passed, $(count skipped) skipped"
[ "$(count failed)" = 0 ] || line="$(count failed) failed, $line"
[ "$(count error)" = 0 ] || line="$line, $(count error) errors"
echo "$line in $seconds.00s"
for name in unit conformance rest; do
    [ "$(cat "$log/$name.status" 2>/dev/null)" = 0 ] || exit 1
done
