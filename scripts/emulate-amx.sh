#!/usr/bin/env bash
# Runs go with Intel's AMX emulated, so that the level amx is there (and chosen by
# itself) on a processor with AVX512_BF16 and AVX512_VBMI alone:
#
#   scripts/emulate-amx.sh test ./internal/device/cpu/...
#   scripts/emulate-amx.sh run ./cmd/align bench sft --cfg small --precision bf16
#
# The kernels' generator writes the files, bin/_amx (which ./... does not see), in which each instruction on
# tiles is code that does the same on memory; go's -overlay puts them in the place
# of the package's. Nothing else is built with them. Speed says nothing here.
set -euo pipefail
cd "$(dirname "$0")/.."

for flag in avx512_bf16 avx512vbmi; do
    if ! grep -qw "$flag" /proc/cpuinfo 2>/dev/null; then
        echo "emulate-amx: the processor has no $flag" >&2
        exit 1
    fi
done
mkdir -p bin/_amx
CGO_ENABLED=0 go run ./internal/device/cpu/kern/gen -emulate bin/_amx
command=$1
shift
# Pointers beyond what they point into are found as well.
exec go "$command" -overlay bin/_amx/overlay.json -gcflags=./internal/device/cpu/...=-d=checkptr "$@"
