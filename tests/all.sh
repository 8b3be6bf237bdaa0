#!/bin/sh
# The whole test suite, in two sessions of pytest side by side: what computes, and what starts many servers and watches the clock.
# Ends with one line for both of them, in pytest's form, and fails if one of them does.
python=$1
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
begun=$(date +%s)

session() {  # name, paths...
    name=$1
    shift
    { "$python" -m pytest "$@" 2>&1; echo $? >"$log/$name.status"; } | tee "$log/$name"
}

computes="tests/unit tests/conformance tests/integration/store"
# shellcheck disable=SC2046,SC2086
{
    session computes $computes >/dev/null &
    session watches tests/faults tests/integration $(printf -- '--ignore=%s ' $computes)
    wait
}
cat "$log/computes"

count() {  # outcome
    grep -hE '^(=+ )?[0-9]+ (passed|failed|skipped).* in [0-9.]+s' "$log/computes" "$log/watches" |
        grep -oE "[0-9]+ $1" | awk '{total += $1} END {print total + 0}'
}

seconds=$(($(date +%s) - begun))
line="$(count passed) passed, $(count skipped) skipped"
[ "$(count failed)" = 0 ] || line="$(count failed) failed, $line"
[ "$(count error)" = 0 ] || line="$line, $(count error) errors"
echo "$line in $seconds.00s"
for name in computes watches; do
    [ "$(cat "$log/$name.status" 2>/dev/null)" = 0 ] || exit 1
done
