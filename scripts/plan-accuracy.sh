#!/bin/sh
# What align plan says of a run's peak memory and time, beside what the run
# takes, over configurations of method, model, precision, save policy and
# quantisation. It needs align, the usual text tools and /usr/bin/time, and about
# 6 minutes on a quiet machine of two cores.
#
#     scripts/plan-accuracy.sh [ALIGN] [PATTERN]
#
# ALIGN is the program (default: align); only configurations whose name matches
# the PATTERN are run. Runs use one thread. A time is that of the steps after the
# first, from two runs of different lengths; it is processor time in the program,
# which other work on the machine moves least, and the plan's of the same steps on
# one thread. Time in the system is left out: steps have next to none, but what the
# first one takes to get its memory is another each time. Reference
# log-probabilities are computed before both runs, and left out of the plan.
# Both columns of percentages are (measured - planned) / measured; a line whose
# memory is off by more than 5 % or whose time by more than 15 % is marked.
set -eu
align=$(command -v "${1:-align}")
case $align in /*) ;; *) align=$PWD/$align ;; esac
pattern=${2:-.}
work=$(mktemp -d)
export XDG_CACHE_HOME="$work/cache"
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

# Examples and pairs that are longer than any --max-length below.
awk 'BEGIN {
	for (i = 1; i <= 40; i++) {
		text = ""
		for (k = 1; k <= 1300; k++) text = text " " (i * k * 7919) % 9973
		printf "{\"prompt\": \"Count from %d.\", \"completion\": \"%s\"}\n", i, text >"examples.jsonl"
	}
	for (i = 1; i <= 40; i++) {
		chosen = rejected = ""
		for (k = 1; k <= 60; k++) { chosen = chosen " " (i * k * 7919) % 9973; rejected = rejected " " (i * k * 6007) % 9967 }
		printf "{\"prompt\": \"Count from %d.\", \"chosen\": \"%s\", \"rejected\": \"%s\"}\n", i, chosen, rejected >"pairs.jsonl"
	}
}'

# Models of random weights: two shapes as they are, and two layers of Llama 3.2 1B.
"$align" bench make-model --cfg tiny --out tiny >/dev/null
"$align" bench make-model --cfg small --out small >/dev/null
mkdir shape
cp tiny/tokenizer* shape/
sed -e 's/"hidden_size": *[0-9]*/"hidden_size": 2048/' -e 's/"intermediate_size": *[0-9]*/"intermediate_size": 8192/' \
	-e 's/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 2/' -e 's/"num_attention_heads": *[0-9]*/"num_attention_heads": 32/' \
	-e 's/"num_key_value_heads": *[0-9]*/"num_key_value_heads": 8/' -e 's/"head_dim": *[0-9]*/"head_dim": 64/' \
	-e 's/"vocab_size": *[0-9]*/"vocab_size": 128256/' -e 's/"tie_word_embeddings": *false/"tie_word_embeddings": true/' tiny/config.json >shape/config.json
"$align" bench make-model --cfg shape --out two-layers >/dev/null

# planned FLAGS: the plan's bytes, its seconds and those of the reference in them.
planned() {
	"$align" plan "$@" --quiet --json >plan
	for key in total_bytes seconds reference_seconds; do
		sed -n "s/.*\"$key\":\([0-9.e+-]*\).*/\1/p" plan
	done | tr '\n' ' '
}

# run FLAGS: the run's peak in KiB and its processor seconds in the program.
run() {
	rm -rf out
	/usr/bin/time -o time -f '%M %U' "$align" "$@" --quiet --out out >log 2>&1 || { cat log >&2; exit 1; }
	cat time
}

# check NAME STEPS METHOD FLAGS: one line of the table.
check() {
	name=$1 steps=$2
	shift 2
	printf '%s\n' "$name" | grep -q -e "$pattern" || return 0
	set -- "$@" --threads 1 --eval-fraction 0
	plan=$(planned "$@" --steps "$steps")
	[ "$1" != dpo ] || run "$@" --steps "$steps" >/dev/null
	short=$(run "$@" --steps 1)
	long=$(run "$@" --steps "$steps")
	echo "$name|$plan|$short|$long" | awk -F '|' -v n="$steps" '{
		split($2, plan, " "); split($3, short, " "); split($4, long, " ")
		planned = plan[1] / 1048576; peak = long[1] / 1024; off = 100 * (peak - planned) / peak
		time = (plan[2] - plan[3]) * (n - 1) / n; took = long[2] - short[2]; late = 100 * (took - time) / took
		mark = (off > 5 || off < -5 || late > 15 || late < -15) ? " *" : ""
		printf "| %s | %.1f | %.1f | %+.1f | %.2f | %.2f | %+.1f |%s\n", $1, planned, peak, off, time, took, late, mark
	}'
}

echo '| configuration | planned MiB | peak MiB | % | planned s | took s | % |'
echo '|---|---|---|---|---|---|---|'
check 'sft, builtin, f32' 60 sft --data examples.jsonl --overlong truncate --max-length 256 --batch 4
check 'dpo, builtin, f32' 60 dpo --pairs pairs.jsonl --max-length 512 --batch 4
check 'sft, tiny, bf16, 8 x 256' 20 sft --model tiny --data examples.jsonl --overlong truncate --max-length 256 --batch 8 --precision bf16
check 'sft, tiny, all weights, f32' 12 sft --model tiny --full on --data examples.jsonl --overlong truncate --max-length 256 --batch 4 --precision f32
check 'reward, tiny, f32' 12 reward --model tiny --pairs pairs.jsonl --max-length 1024 --batch 4 --precision f32
check 'sft, small, bf16, 2 x 512' 4 sft --model small --data examples.jsonl --overlong truncate --max-length 512 --batch 2 --precision bf16
check 'sft, small, bf16, products' 4 sft --model small --data examples.jsonl --overlong truncate --max-length 512 --batch 2 --precision bf16 --save-policy products
check 'sft, small, f32, none' 3 sft --model small --data examples.jsonl --overlong truncate --max-length 512 --batch 2 --precision f32 --save-policy none
check 'sft, small, nf4, bf16' 12 sft --model small --data examples.jsonl --overlong truncate --max-length 512 --batch 2 --precision bf16 --quantize nf4
check 'sft, small, q8_0, f32, attention' 3 sft --model small --data examples.jsonl --overlong truncate --max-length 512 --batch 1 --precision f32 --quantize q8_0 --save-policy attention
check 'sft, small, bf16, 1 x 4096, tiled' 2 sft --model small --data examples.jsonl --overlong truncate --max-length 4096 --batch 1 --precision bf16 --save-policy tiled
check 'dpo, small, bf16' 4 dpo --model small --pairs pairs.jsonl --max-length 1024 --batch 1 --precision bf16
check 'sft, two layers of 1B, bf16, 1 x 1024' 4 sft --model two-layers --data examples.jsonl --overlong truncate --max-length 1024 --batch 1 --precision bf16
check 'dpo, two layers of 1B, nf4, none' 12 dpo --model two-layers --pairs pairs.jsonl --max-length 1024 --batch 1 --precision bf16 --quantize nf4 --save-policy none
