#!/bin/sh
# Makes the PTX of every .cu file, packed, and manifest.json, with Debian's clang-19
# and zstd: no CUDA toolkit, no CUDA headers. The texts are the same bytes everywhere;
# `zstd -dc` shows one.
# NAME_sm90.cu and, with its copy engine, NAME_tma.cu are for compute capability 9.0 alone,
# the others for 8.0 and later.
# ./build.sh OUT writes to another folder.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
clang=${CLANG:-clang-19}
mkdir -p "$out/ptx/sm80" "$out/ptx/sm90a"
rm -f "$out"/ptx/*/*.ptx.zst

hash() { sha256sum | cut -d' ' -f1; }

comma=
{
	printf '{\n "compiler": "%s",\n "kernels": {' "$($clang --version | head -n 1)"
	for source in *.cu; do
		name=${source%.cu}
		case $name in
		*_sm90) target=sm_90a version=80 ptx=ptx/sm90a/$name.ptx ;;
		*_tma) target=sm_90a version=83 ptx=ptx/sm90a/$name.ptx ;;
		*) target=sm_80 version=70 ptx=ptx/sm80/$name.ptx ;;
		esac
		# Contraction to fused multiply-add is the one liberty taken. A toolkit on the
		# path, which clang would find and complain of, is none of its business.
		$clang -x cuda --cuda-path=/none --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=$target --cuda-feature=+ptx$version \
			-O3 -ffp-contract=fast -std=c++17 -Wall -Werror -S "$source" -o "$out/$ptx"
		zstd -q -19 --rm "$out/$ptx"
		printf '%s\n  "%s": {"source": "%s", "ptx": "%s"}' "$comma" "$name" \
			"$(cat ./*.cuh "$source" | hash)" "$(zstd -dc "$out/$ptx.zst" | hash)"
		comma=,
	done
	printf '\n }\n}\n'
} >"$out/manifest.json.new"
mv "$out/manifest.json.new" "$out/manifest.json"
