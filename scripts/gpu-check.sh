#!/bin/sh
# The checks of docs/gpu.md that a machine with an NVIDIA card can run by itself,
# in their order, from the folder that `make gpu-test-binary` fills. It needs the
# driver and nothing else; what a CUDA toolkit, PyTorch or ALIGN_SHARED (golden
# values of whole models) would add is said where they are missing.
#
#     ./gpu-check.sh [--again] [--simulated] [SECONDS]
#
# It ends after SECONDS (1800) at the latest. Every check leaves its lines in
# gpu-results as soon as it is done, and the next call goes on with those that
# have none: three calls of 590 seconds do what one of 1800 does. --again begins
# anew. The report, on stdout and in gpu-results/report.md, goes into docs/gpu.md as
# it is; the tests' own words stand in gpu-results/*.log. --simulated runs what the
# simulator can instead, to try this script without a card.
set -u
cd "$(dirname "$0")"
out=gpu-results seconds=1800 simulated=
for word; do
	case $word in
	--again) rm -rf $out ;;
	--simulated) simulated=1 out=gpu-results-simulated ;;
	*[!0-9]* | '') echo "usage: $0 [--again] [--simulated] [SECONDS]" >&2 && exit 2 ;;
	*) seconds=$word ;;
	esac
done
command -v timeout >/dev/null || { echo "$0: timeout (GNU coreutils) is missing" >&2 && exit 1; }
mkdir -p $out
start=$(date +%s)
[ -n "$simulated" ] || export ALIGN_TEST_GPU=1
[ -z "${ALIGN_SHARED:-}" ] || export ALIGN_REQUIRE_SHARED=1
# Every process translates the kernels; the driver's cache must hold them all.
export CUDA_CACHE_MAXSIZE=1073741824
status=0

left() { echo $((seconds - ($(date +%s) - start))); }

# within LIMIT COMMAND...: no longer than LIMIT seconds, nor than there are left.
within() {
	most=$1 && shift
	[ "$most" -le "$(left)" ] || most=$(left)
	timeout -k 10 "$most" "$@"
}

# begin ORDER NAME: whether a check is to be run; its files are then $result and $log.
begin() {
	result=$out/$1.md log=$out/$1.log name=$2 began=$(date +%s)
	[ ! -e "$result" ] || return 1
	if [ "$(left)" -lt 15 ]; then
		echo "no time left for: $name (run again to go on)" >&2
		status=1
		return 1
	fi
	echo "$(($(date +%s) - start)) s: $name" >&2
}

# figures prints what tests said of themselves.
figures() { sed -n 's/^ *[a-z_0-9]*_test\.go:[0-9]*: /    /p' "$log" | grep -vE ' [0-9]+ registers$| guard [0-9]+, ' | head -n "${1:-12}"; }

# check ORDER LIMIT NAME BINARY TESTS [FLAGS]: a row of the table, and figures.
check() {
	limit=$2 binary=$4 tests=$5
	begin "$1" "$3" || return 0
	shift 5
	within "$limit" "./$binary" -test.v -test.timeout 30m -test.run "$tests" "$@" >"$log" 2>&1
	code=$?
	# A check whose tests were all skipped has shown nothing.
	ran=$(grep -c '^--- PASS' "$log")
	skipped=$(grep -c '^ *--- SKIP' "$log")
	verdict=passed
	[ "$skipped" -eq 0 ] || verdict='passed in part'
	[ "$ran" -gt 0 ] || verdict='not run'
	[ $code -eq 0 ] || verdict=FAILED status=1
	[ $code -ne 124 ] || verdict="not finished after $limit s"
	{
		printf '\n**%s**: %s, %s tests passed, %s skipped, %s s\n\n' "$name" "$verdict" "$ran" "$skipped" "$(($(date +%s) - began))"
		grep -E '^ *--- FAIL' "$log" | sed 's/^ */    /' | head -n 20
		figures 20
	} >"$result.new"
	# What time has cut short is run again by the next call.
	[ $code -eq 124 ] && [ "$(left)" -lt 15 ] && mv "$result.new" "$out/$(basename "$result").cut" && return 0
	mv "$result.new" "$result"
}

# speed ORDER LIMIT NAME COMMAND...: what a command prints.
speed() {
	limit=$2
	begin "$1" "$3" || return 0
	shift 3
	within "$limit" "$@" >"$log" 2>&1
	code=$?
	verdict=
	[ $code -eq 0 ] || verdict=": FAILED (exit $code)"
	[ $code -ne 124 ] || verdict=": not finished after $limit s"
	if grep -q 'ALIGN_CUBLASLT is set' "$log"; then
		verdict=': not run: no library was found' code=0
	fi
	[ $code -eq 0 ] || status=1
	{
		printf '\n**%s**%s\n\n' "$name" "$verdict"
		sed 's/^/    /' "$log"
	} >"$result"
}

# without ORDER NAME WHY: a check that cannot be run here.
without() {
	begin "$1" "$2" || return 0
	printf '\n**%s**: not run: %s\n' "$2" "$3" >"$result"
}

# 1. The binding, and every module translated by the driver.
check 10-binding 60 'binding' driver.test '^TestCard$'
check 11-modules 240 'modules' cuda.test '^TestModulesTranslate$'
if command -v ptxas >/dev/null; then
	check 12-ptxas 240 'modules, by the toolkit' kernels.test '^TestTranslatorTakesThePTX$'
else
	without 12-ptxas 'modules, by the toolkit' 'ptxas is not on the path'
fi

# 2. Instructions. On a card -update writes its answers, for the simulator to be
# held to: testdata comes back with the report.
if [ -n "$simulated" ]; then
	check 20-instructions 120 'instructions' cudatest.test 'Forms|Shuffles|Votes|Ldmatrix|Mma'
else
	check 20-instructions 120 'instructions' cudatest.test 'Forms|Shuffles|Votes|Ldmatrix|Mma' -update
fi
check 21-wgmma-bits 60 'wgmma, the bits of mma.sync' cuda.test '^Test(WgmmaHasTheBitsOfMma|LongCacheOfHopper)$'

# 3. Kernels beside the CPU and float64, small and of Llama 3 8B's shapes; then
# what stands on them.
check 30-kernels 240 'kernels' cuda.test '^Test(Conformance|DoRA)$'
check 31-entries 120 'single entries' cuda.test '^Test(Attention|Gemm|Gemv|Softmax|Widened|Wgmma(A|G|C)|Sample|Captures)'
check 31-long-cache 60 'attention over a long cache: the bits of a pack, a step captured once' cuda.test '^Test(LongCache|CaptureOfAGrowingCache)$'
check 32-same 120 'kernels, twice the same bits' cuda.test '^TestSameBits$'
check 33-shapes 120 'kernels of the shapes of 8B' cuda.test '^TestShapesOf8B$'
check 34-model 120 'tiny model: logits, losses, gradients, decoding' model.test '^TestCard'
check 35-draws 60 'tokens drawn' rollout.test '^TestCard'
check 36-steps 180 '30 steps beside the CPU' sft.test '^TestCard'
check 37-commands 300 'whole commands' commands.test '^TestCardScripts$'

# 4. Memory and races.
if command -v compute-sanitizer >/dev/null && [ -z "$simulated" ]; then
	for tool in memcheck racecheck; do
		speed 40-$tool 120 "compute-sanitizer, $tool" compute-sanitizer --tool $tool --error-exitcode 1 ./cuda.test -test.run '^Test(Attention|Gemm)Against'
	done
else
	without 40-sanitizer 'compute-sanitizer' 'it is not on the path'
fi

# 5. and 6. Speed: kernels, then whole steps.
if [ -n "$simulated" ]; then
	without 50-speed 'speed' 'the simulator has none'
else
	speed 50-kernels 120 'speed of kernels, the shapes of Llama 3 8B' ./align bench machine gemm attention elementwise --cfg 8b --device cuda --quiet
	if ./align doctor 2>/dev/null | grep -q wgmma; then
		speed 51-mma 60 'the same products and attention on mma.sync (ALIGN_CUDA=mma)' env ALIGN_CUDA=mma ./align bench gemm attention --cfg 8b --device cuda --quiet
	else
		without 51-mma 'mma.sync beside wgmma' 'the card has no wgmma'
	fi
	export ALIGN_CUBLASLT=auto
	check 52-cublaslt 120 'products of the shapes of 8B by cuBLASLt' cuda.test '^TestShapesOf8B$'
	unset ALIGN_CUBLASLT
	speed 53-cublaslt 60 'the same products by cuBLASLt (ALIGN_CUBLASLT=auto)' env ALIGN_CUBLASLT=auto ./align bench gemm --cfg 8b --device cuda --quiet
	speed 60-step 120 'a step and decoding, the shape of Llama 3.2 1B' ./align bench sft decode --cfg 1b --batch 4 --device cuda --quiet
	speed 61-step 180 'a step and decoding, the shape of Llama 3 8B as NF4' ./align bench sft decode --cfg 8b --quantize nf4 --batch 1 --seq 2048 --device cuda --quiet
	speed 61-long 90 'decoding behind 8192 tokens, the shape of Llama 3 8B as NF4' ./align bench decode --cfg 8b --quantize nf4 --batch 1 --prompt 8192 --resp 32 --device cuda --quiet
	speed 61-sixteen 90 'decoding 16 sequences, the shape of Llama 3 8B as NF4' ./align bench decode --cfg 8b --quantize nf4 --batch 16 --prompt 256 --resp 32 --device cuda --quiet
	speed 62-dpo 60 'a step of dpo, the shape of Llama 3.2 1B' ./align bench dpo --cfg 1b --batch 4 --device cuda --quiet
	speed 63-ppo 90 'a rollout and ppo, the shape of Llama 3.2 1B' ./align bench rollout ppo --cfg 1b --batch 8 --prompt 256 --resp 64 --device cuda --quiet
fi
if [ -z "$simulated" ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
	speed 64-torch 90 'PyTorch on the same card' python3 gpu-torch.py
else
	without 64-torch 'PyTorch on the same card' 'there is no torch with CUDA'
fi
curve=cuda size=
[ -z "$simulated" ] || curve=cpu size='--steps 20 --length 64' # the program has no simulator: the script is tried
if python3 -c "import torch, transformers, peft; assert '$curve' == 'cpu' or torch.cuda.is_available()" 2>/dev/null; then
	speed 65-curve 300 "a loss curve of 100 steps beside torch and peft ($curve)" python3 gpu-curve.py ./align --device $curve $size
else
	without 65-curve 'a loss curve of 100 steps beside torch and peft' 'there is no torch with CUDA, transformers and peft'
fi

{
	printf 'Date: %s\n\n' "$(date -u +%Y-%m-%d)"
	[ -n "$simulated" ] || ./align doctor 2>&1 | grep -E '^(version|os|gpu|card|driver|problem)' | sed 's/^/    /'
	cat $out/[0-9]*.md
} >$out/report.md
cat $out/report.md
exit $status
