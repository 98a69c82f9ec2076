#!/bin/sh
# Compiles the test kernels with Debian's clang-19; no CUDA files are needed.
set -eu
cd "$(dirname "$0")"
for f in *.cu; do
  arch=sm_80 ptx=ptx70
  case $f in *_sm90.cu) arch=sm_90a ptx=ptx80 ;; esac
  clang++-19 -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=$arch --cuda-feature=+$ptx \
    -O3 -ffp-contract=fast -S "$f" -o "${f%.cu}.ptx"
done
