#!/bin/sh
# The checks of docs/gpu.md that a machine with an NVIDIA card can run by itself,
# from the folder that `make gpu-test-binary` fills. It needs the driver and
# nothing else; what a CUDA toolkit, PyTorch or ALIGN_SHARED (golden values of
# whole models) would add is said where they are missing.
#
#     ./gpu-check.sh [--again] [--simulated] [SECONDS]
#
# It ends after SECONDS (1800) at the latest. Every check leaves its lines in
# gpu-results as soon as it is done, and the next call goes on with those that
# have none: three calls of 560 seconds do what one of 1800 does. To repeat a check
# remove its files; --again begins anew. After every check all of it is packed into
# gpu-results.tar.gz, from which a call on another machine goes on where that file
# lies beside the script; GPU_RESULTS names a folder that it is copied to as well,
# for a machine that may be taken away. What tells most comes first: what the card
# proves of the kernels, instructions, speed of kernels and of a step. The report, on stdout and in
# gpu-results/report.md, goes into docs/gpu.md as it is; the tests' own words stand
# in gpu-results/*.log. --simulated runs what the simulator can instead, to try this
# script without a card.
set -u
cd "$(dirname "$0")" || exit 1
out=gpu-results seconds=1800 simulated= again=
for word; do
	case $word in
	--again) again=1 ;;
	--simulated) simulated=1 out=gpu-results-simulated ;;
	*[!0-9]* | '') echo "usage: $0 [--again] [--simulated] [SECONDS]" >&2 && exit 2 ;;
	*) seconds=$word ;;
	esac
done
command -v timeout >/dev/null || { echo "$0: timeout (GNU coreutils) is missing" >&2 && exit 1; }
[ -z "$again" ] || rm -rf $out $out.tar.gz
[ -d $out ] || [ ! -e $out.tar.gz ] || tar xzf $out.tar.gz || exit 1
if ! mkdir -p $out testdata gpu-cache || ! touch $out/log testdata/log || ! rm $out/log testdata/log; then
	echo "$0: $PWD cannot be written to: copy the folder to where it can" >&2
	exit 1
fi
start=$(date +%s) child=
[ -n "$simulated" ] || export ALIGN_TEST_GPU=1
[ -z "${ALIGN_SHARED:-}" ] || export ALIGN_REQUIRE_SHARED=1
# Every process translates the kernels; the driver's cache must hold them all, where
# it can be written.
export CUDA_CACHE_MAXSIZE=1073741824 CUDA_CACHE_PATH="$PWD/gpu-cache"
# So must what align writes once, where there is no home to write to.
export ALIGN_CACHE="${ALIGN_CACHE:-$PWD/gpu-cache/align}" HF_HOME="${HF_HOME:-$PWD/gpu-cache/huggingface}"
# cuBLASLt may lie in the wheels beside torch.
[ -n "${VIRTUAL_ENV:-}" ] || VIRTUAL_ENV=$(python3 -c 'import sys; print(sys.prefix)' 2>/dev/null)
export VIRTUAL_ENV
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
status=0

left() { echo $((seconds - ($(date +%s) - start))); }

# within LIMIT COMMAND...: no longer than LIMIT seconds, nor than there are left; 124
# where that was too short.
within() {
	most=$1 && shift
	[ "$most" -le "$(left)" ] || most=$(left)
	[ "$most" -gt 0 ] || return 124
	# Not waited for in the foreground, where a signal would have to wait as well.
	timeout -k 10 "$most" "$@" &
	child=$!
	wait $child
	ended=$?
	child=
	# Busybox's timeout, and what had to be killed, tell the signal.
	case $ended in 137 | 143) [ $(($(date +%s) - began)) -lt "$most" ] || ended=124 ;; esac
	return $ended
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

# finish: a check that time has cut short is run again by the next call; the
# lines of others are its result.
finish() {
	if [ "$code" -eq 124 ] && [ "$(left)" -lt 15 ]; then
		mv "$result.new" "${result%.md}.cut"
	else
		mv "$result.new" "$result"
	fi
	pack
}

# pack puts what a caller carries away into one file, whole at any time.
pack() {
	{ tar czf $out.tar.gz.new $out testdata && mv $out.tar.gz.new $out.tar.gz; } 2>/dev/null
	[ -z "${GPU_RESULTS:-}" ] || cp $out.tar.gz "$GPU_RESULTS/"
}

# said prints what tests said of themselves, without colour.
said() { sed -n 's/^ *[a-z_0-9]*_test\.go:[0-9]*: /    /p' "$1" | grep -vE ' [0-9]+ registers$| guard [0-9]+, ' | cut -c1-400 | head -n "$2"; }

# breaker is the test that ran when the card was first lost: all that come behind it
# in that process fail with it. It prints the pattern that names it alone.
breaker() {
	awk '/^=== (RUN|NAME|CONT)/ { name = $3 } /is lost: / { print name; exit }' "$1" |
		sed -e 's/[][().*+?^$|{}\\]/\\&/g' -e 's#/#$/^#g' -e 's/^/^/' -e 's/$/$/'
}

# check ORDER LIMIT NAME BINARY TESTS [FLAGS]: a row of the table, and figures. Where
# a test loses the card the others are run again without it.
check() {
	limit=$2 binary=$4 tests=$5
	[ -z "$simulated" ] || limit=$((limit * 3)) # the simulator shares a processor, a card is its own
	begin "$1" "$3" || return 0
	shift 5
	skip='' lost='' tries=0
	while :; do
		within "$limit" "./$binary" -test.v -test.timeout 30m -test.run "$tests" ${skip:+-test.skip "$skip"} "$@" >"$log" 2>&1
		code=$?
		broke=$(breaker "$log")
		tries=$((tries + 1))
		[ -n "$broke" ] && [ $tries -lt 8 ] && [ "$(left)" -ge 15 ] || break
		cp "$log" "${log%.log}.lost$tries.log"
		lost="$lost $broke"
		skip=${skip:+$skip|}$broke
	done
	# A check whose tests were all skipped has shown nothing.
	ran=$(grep -c '^--- PASS' "$log")
	skipped=$(grep -c '^ *--- SKIP' "$log")
	verdict=passed
	[ "$skipped" -eq 0 ] || verdict='passed in part'
	[ "$ran" -gt 0 ] || verdict=skipped
	[ "$((ran + skipped))" -gt 0 ] || verdict='not run'
	[ $code -eq 0 ] && [ -z "$lost" ] || verdict=FAILED status=1
	[ $code -ne 124 ] || verdict="not finished after $limit s"
	{
		printf '\n**%s**: %s, %s tests passed, %s skipped, %s s\n\n' "$name" "$verdict" "$ran" "$skipped" "$(($(date +%s) - began))"
		for broke in $lost; do printf '    the card was lost in %s\n' "$broke" | tr -d '^$\\'; done
		cat "${log%.log}".lost*.log 2>/dev/null | grep 'is lost: ' | sort -u | cut -c1-400 | head -n 8
		grep -E '^ *--- FAIL' "$log" | sed 's/^ */    /' | head -n 30
		said "$log" 30
		# What ends a process has no test to say it.
		[ $code -eq 0 ] || grep -qE '^ *--- FAIL' "$log" || tail -n 20 "$log" | cut -c1-400 | sed 's/^/    /'
	} >"$result.new"
	finish
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
		tail -n 200 "$log" | cut -c1-400 | sed 's/^/    /'
	} >"$result.new"
	finish
}

# without ORDER NAME WHY: a check that cannot be run here.
without() {
	begin "$1" "$2" || return 0
	printf '\n**%s**: not run: %s\n' "$2" "$3" >"$result"
}

# failed ORDER: whether a check has failed.
failed() { [ -e "$out/$1.md" ] && grep -q '^\*\*.*: FAILED' "$out/$1.md"; }

# report puts all results together.
report() {
	{
		printf 'Date: %s\n' "$(date -u +%Y-%m-%d)"
		[ ! -e $out/mma ] || printf '\nThe wgmma kernels failed: all that stands behind their check ran with ALIGN_CUDA=mma.\n'
		cat $out/[0-9]*.md 2>/dev/null
	} >$out/report.md
	pack
}
trap '[ -z "$child" ] || kill $child; report; exit 1' HUP INT TERM

# 1. The binding, and every module translated by the driver.
check 10-binding 60 'binding' driver.test '^TestCard$'
check 11-modules 240 'modules' cuda.test '^TestModulesTranslate$'

# The driver's cache has the modules now: this is a start as all but the first are,
# with the proof of every kernel.
if [ -z "$simulated" ]; then
	speed 12-doctor 120 'what the card proves, translated before' sh -c 'start=$(date +%s%N)
		said=$(./align doctor 2>&1)
		code=$?
		printf "%s\n%s\n" "$said" "this took $((($(date +%s%N) - start) / 1000000)) ms"
		! printf %s "$said" | grep -q "^wrong" && exit $code'
fi

# 2. Instructions. On a card -update writes its answers, for the simulator to be
# held to: testdata comes back with the report.
if [ -n "$simulated" ]; then
	check 20-instructions 120 'instructions' cudatest.test 'Forms|Shuffles|Votes|Copies|Ldmatrix|Mma|Boxes'
else
	check 20-instructions 120 'instructions' cudatest.test 'Forms|Shuffles|Votes|Copies|Ldmatrix|Mma|Boxes' -update
fi
check 21-wgmma 300 'kernels on wgmma beside float64 and the CPU' cuda.test '^Test(WgmmaAgainstFloat64|WgmmaAttention|WgmmaAttentionGrad|ConformanceOfHopper)$'
# Where they are wrong all larger products are: the rest is to be seen without them.
rm -f $out/mma
if [ -z "$simulated" ] && failed 21-wgmma; then
	: >$out/mma
	export ALIGN_CUDA=mma
fi
# A card may add the terms of either in its own way: that is told, and no failure.
check 22-wgmma-bits 90 'whether wgmma has the bits of mma.sync' cuda.test '^Test(WgmmaHasTheBitsOfMma|LongCacheOfHopper)$'

# Products fed by the copy engine, which are used where they are asked for.
if [ -e $out/mma ]; then
	without 23-tma 'products fed by the copy engine' 'wgmma is not in use'
else
	check 23-tma 150 'products fed by the copy engine: the bits of those that threads feed' cuda.test '^Test(TMAHasTheBitsOfWgmma|ConformanceOfTMA|TMALayersHaveTheBitsOfWgmma|CapturesHaveTheirMaps)$'
fi

# What a lent card is for first: speed of the kernels and of a whole step.
if [ -z "$simulated" ]; then
	speed 40-kernels 120 'speed of kernels, the shapes of Llama 3 8B, 4096 tokens' ./align bench machine gemm attention elementwise --cfg 8b --seq 4096 --device cuda --quiet
	speed 50-sft 120 'a step of 1 x 4096 tokens, the shape of Llama 3 8B in bf16' ./align bench sft --cfg 8b --batch 1 --seq 4096 --device cuda --quiet
fi

# 3. Kernels beside the CPU and float64, small and of Llama 3 8B's shapes.
check 30-kernels 240 'kernels' cuda.test '^Test(Conformance|DoRA)$'
check 31-entries 120 'single entries' cuda.test '^Test(Attention|Gemm|Gemv|LoRAGrad|Softmax|Slopes|PlaceRounds|Widened|WgmmaCounters|Sample|Captures)'
check 32-long-cache 60 'attention over a long cache: the bits of a pack, a step captured once' cuda.test '^Test(LongCache|CaptureOfAGrowingCache)$'
check 33-shapes 120 'kernels of the shapes of 8B' cuda.test '^TestShapesOf8B$'
check 34-model 120 'tiny model: logits, losses, gradients, decoding' model.test '^TestCard'

# 5. and 6. Speed: kernels, then whole steps, with what they are held to beside them.
if [ -n "$simulated" ]; then
	without 40-speed 'speed' 'the simulator has none'
else
	if [ -z "${ALIGN_CUDA:-}" ] && grep -q ' by wgmma' $out/12-doctor.log 2>/dev/null; then
		speed 41-mma 60 'the same products and attention on mma.sync (ALIGN_CUDA=mma)' env ALIGN_CUDA=mma ./align bench gemm attention --cfg 8b --seq 4096 --device cuda --quiet
		# Where the copy engine's proof fails threads feed the products, which says nothing of it.
		speed 41-tma 90 'the same products fed by the copy engine (ALIGN_CUDA=tma)' sh -c 'export ALIGN_CUDA=tma
			said=$(./align doctor 2>&1 | grep -E "stands in|needs a driver| by tma")
			echo "$said"
			case $said in *"stands in"* | *"needs a driver"* | "") exit 1 ;; esac
			exec ./align bench gemm --cfg 8b --seq 4096 --device cuda --quiet'
	else
		without 41-mma 'mma.sync beside wgmma' 'wgmma is not in use'
		without 41-tma 'the copy engine beside threads' 'wgmma is not in use'
	fi
	export ALIGN_CUBLASLT=auto
	check 42-cublaslt 120 'products of the shapes of 8B by cuBLASLt' cuda.test '^TestShapesOf8B$'
	unset ALIGN_CUBLASLT
	speed 43-cublaslt 60 'the same products by cuBLASLt (ALIGN_CUBLASLT=auto)' env ALIGN_CUBLASLT=auto ./align bench gemm --cfg 8b --seq 4096 --device cuda --quiet
fi
torch=
if [ -z "$simulated" ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
	speed 44-torch 90 'PyTorch: the same kernels on the same card' python3 gpu-torch.py
	! python3 -c 'import transformers, peft' 2>/dev/null || torch=1
else
	without 44-torch 'PyTorch: the same kernels on the same card' 'there is no torch with CUDA'
fi
if [ -z "$simulated" ]; then
	[ -z "$torch" ] || speed 50-sft-peer 150 'the same by torch and peft' python3 gpu-peer.py sft --batch 1 --seq 4096
	speed 51-sft-nf4 120 'a step of 2 x 2048 tokens, 8B as NF4, save_policy tiled' ./align bench sft --cfg 8b --quantize nf4 --batch 2 --seq 2048 --save-policy tiled --device cuda --quiet
	speed 51-sft-same 120 'the same, 8B in bf16' ./align bench sft --cfg 8b --batch 2 --seq 2048 --save-policy tiled --device cuda --quiet
	speed 52-decode 90 'decoding one sequence, 8B in bf16' ./align bench decode --cfg 8b --batch 1 --prompt 256 --resp 64 --device cuda --quiet
	speed 53-dpo 120 'a step of dpo, two pairs of a prompt of 512 and answers of 256, 8B in bf16' ./align bench dpo --cfg 8b --batch 2 --prompt 512 --resp 256 --device cuda --quiet
	[ -z "$torch" ] || speed 53-dpo-peer 150 'the same as TRL lays it out, by torch and peft' python3 gpu-peer.py dpo --batch 2 --prompt 512 --resp 256
	speed 54-dpo-24 120 'a step of dpo in 24 GiB, two pairs of a prompt of 480 and answers of 480, 8B as NF4' ./align bench dpo --cfg 8b --quantize nf4 --batch 2 --prompt 480 --resp 480 --memory 24GiB --device cuda --quiet
	speed 55-long 90 'decoding behind 8192 tokens, 8B as NF4' ./align bench decode --cfg 8b --quantize nf4 --batch 1 --prompt 8192 --resp 32 --device cuda --quiet
	speed 56-sixteen 90 'decoding 16 sequences, 8B as NF4' ./align bench decode --cfg 8b --quantize nf4 --batch 16 --prompt 256 --resp 32 --device cuda --quiet
	speed 57-ppo 90 'a rollout and ppo, the shape of Llama 3.2 1B' ./align bench rollout ppo --cfg 1b --batch 8 --prompt 256 --resp 64 --device cuda --quiet
fi
curve=cuda size=
[ -z "$simulated" ] || curve=cpu size='--steps 20 --length 64' # the program has no simulator: the script is tried
if python3 -c "import torch, transformers, peft; assert '$curve' == 'cpu' or torch.cuda.is_available()" 2>/dev/null; then
	speed 60-curve 300 "a loss curve of 100 steps beside torch and peft ($curve)" python3 gpu-curve.py ./align --device $curve $size
else
	without 60-curve 'a loss curve of 100 steps beside torch and peft' 'there is no torch with CUDA, transformers and peft'
fi

# 3. again: what stands on the kernels.
check 70-same 120 'kernels, twice the same bits' cuda.test '^TestSameBits$'
check 71-draws 120 'tokens drawn' rollout.test '^TestCard'
check 72-steps 180 '30 steps beside the CPU' sft.test '^TestCard'
check 73-commands 300 'whole commands' commands.test '^TestCardScripts$'

# 4. Memory and races; then what the toolkit says of the kernels.
if command -v compute-sanitizer >/dev/null && [ -z "$simulated" ]; then
	for tool in memcheck racecheck; do
		speed 80-$tool 120 "compute-sanitizer, $tool" compute-sanitizer --tool $tool --error-exitcode 1 ./cuda.test -test.run '^Test(Attention|Gemm)Against'
	done
else
	without 80-sanitizer 'compute-sanitizer' 'it is not on the path'
fi
if command -v ncu >/dev/null && [ -z "$simulated" ]; then
	speed 81-ncu 250 'counters of a product and of attention, by Nsight Compute' sh -c 'for k in wgmma_nt_wide attention_wgmma_128 attention_keys_grad_wgmma_128 attention_queries_grad_wgmma_128; do
		timeout 45 ncu --clock-control none --section SpeedOfLight --section WarpStateStats --section Occupancy -k $k --launch-skip 3 -c 1 \
			./align bench gemm attention --cfg 8b --seq 4096 --device cuda --quiet 2>&1 | grep -vE "^==PROF|TFLOP/s"; done
		ALIGN_CUDA=tma timeout 45 ncu --clock-control none --section SpeedOfLight --section WarpStateStats --section Occupancy -k tma_nt_wide --launch-skip 3 -c 1 \
			./align bench gemm --cfg 8b --seq 4096 --device cuda --quiet 2>&1 | grep -vE "^==PROF|TFLOP/s"'
else
	without 81-ncu 'counters, by Nsight Compute' 'ncu is not on the path'
fi
if command -v ptxas >/dev/null; then
	check 82-ptxas 240 'modules, by the toolkit' kernels.test '^TestTranslatorTakesThePTX$'
else
	without 82-ptxas 'modules, by the toolkit' 'ptxas is not on the path'
fi

report
cat $out/report.md
exit $status
