#!/bin/sh
# The checks of docs/gpu.md that a machine with an NVIDIA card can run by itself,
# in their order, from the folder that `make gpu-test-binary` fills. It needs
# the driver and nothing else. The report on stdout goes into docs/gpu.md; the
# tests' own words go to gpu-check.log. Golden values of whole models are looked
# for in ALIGN_SHARED and left out without it.
set -u
cd "$(dirname "$0")"
log=gpu-check.log
: >"$log"
export ALIGN_TEST_GPU=1
[ -z "${ALIGN_SHARED:-}" ] || export ALIGN_REQUIRE_SHARED=1
status=0

# check NAME BINARY TESTS: one line of the report.
check() {
	name=$1 binary=$2 tests=$3
	start=$(date +%s)
	printf '\n== %s\n' "$name" >>"$log"
	if "./$binary" -test.v -test.timeout 30m -test.run "$tests" >>"$log" 2>&1; then
		result=passed
	else
		result=FAILED status=1
	fi
	# What ran since the heading: a check whose tests were all skipped has shown nothing.
	lines=$(awk -v name="== $name" '$0 == name {seen = 1} seen' "$log")
	ran=$(printf '%s\n' "$lines" | grep -c '^--- PASS')
	skipped=$(printf '%s\n' "$lines" | grep -c '^--- SKIP')
	[ "$result" = FAILED ] || [ "$ran" -gt 0 ] || result='not run'
	printf '| %s | %s | %s passed, %s skipped | %s s |\n' "$name" "$result" "$ran" "$skipped" "$(($(date +%s) - start))"
}

printf 'Date: %s\n\n' "$(date -u +%Y-%m-%d)"
./align doctor 2>&1 | grep -E '^(version|os|gpu|card|driver|problem)' | sed 's/^/    /'
printf '\n| check | result | tests | time |\n|---|---|---|---|\n'
check 'binding' driver.test '^TestCard$'
check 'modules' cuda.test '^TestModulesTranslate$'
check 'instructions' cudatest.test 'Forms|Shuffles|Votes|Ldmatrix|Mma'
check 'kernels' cuda.test '^TestConformance$'
check 'kernels, twice the same bits' cuda.test '^TestSameBits$'
check 'single entries' cuda.test '^Test(Attention|Gemm|Gemv|Softmax|Widened|WgmmaA)'
check 'wgmma, the bits of mma.sync' cuda.test '^TestWgmmaHasTheBitsOfMma$'
check 'tiny model: logits, losses, gradients, decoding' model.test '^TestCard'
check '30 steps beside the CPU' sft.test '^TestCard'
check 'whole commands' commands.test '^TestCardScripts$'
printf '\nSpeed, by align bench on the shapes of Llama 3 8B:\n\n'
./align bench gemm attention elementwise machine --cfg 8b --device cuda --quiet 2>&1 | sed 's/^/    /'
printf '\nEvery kernel of a step of training and of decoding, of the shape of Llama 3.2 1B:\n\n'
./align bench sft decode --cfg 1b --batch 4 --device cuda --quiet 2>&1 | sed 's/^/    /'
if ./align doctor 2>/dev/null | grep -q wgmma; then
	printf '\nThe same products on mma.sync (ALIGN_CUDA=mma):\n\n'
	ALIGN_CUDA=mma ./align bench gemm --cfg 8b --device cuda --precision bf16 --quiet 2>&1 | sed 's/^/    /'
fi
exit $status
