#!/usr/bin/env bash
# Answer selection on sums (docs/alignment.md, "Right answers"): how much of the
# gap between one answer and the best of 16 do rejection sampling, DPO and PPO
# close on prompts that nothing was learnt from or chosen on?
#
#   scripts/answer-selection.sh [FOLDER [SEED...]]
#
# FOLDER is new, or one to go on with; seeds are 1 to 5 unless named. The table
# is on stdout. ALIGN names the program; without it bin/align (make build).
set -euo pipefail
cd "$(dirname "$0")/.."
align=${ALIGN:-bin/align}
out=${1:-runs/answer-selection}
shift || true
seeds=${*:-1 2 3 4 5}
held=examples/sums-held.jsonl
methods="before rejection dpo ppo"

mkdir -p "$out"
# Settings were chosen on valid.jsonl, and train.jsonl is neither in it nor in the
# held-out prompts.
if [ ! -e "$out/train.jsonl" ]; then
	go run ./internal/builtin/sums -n 256 -seed 1 examples/sums.jsonl "$held" >"$out/valid.jsonl"
	go run ./internal/builtin/sums -n 2048 -seed 2 "$out/valid.jsonl" "$held" >"$out/train.part"
	mv "$out/train.part" "$out/train.jsonl"
fi

# run FOLDER COMMAND...: runs the command with --out, unless its result is there.
# What was sampled before an interruption is kept.
run() {
	local to=$out/$1 resume=
	shift
	[ -e "$to.done" ] && return
	if [ "$1" = rejection ]; then resume=--resume; else rm -rf "$to"; fi
	"$align" "$@" $resume --out "$to" --quiet >/dev/null
	touch "$to.done"
}

# measure NAME [RUN]: 16 answers to each held-out prompt.
measure() {
	run "held-$1" rejection --prompts "$held" --scorer gsm8k --k 16 --max-new 64 --sequences 64 --seed "$((1000 + seed))" \
		${2:+--adapter "$out/$2"}
}

for seed in $seeds; do
	measure "before-$seed"

	run "samples-$seed" rejection --prompts "$out/train.jsonl" --scorer gsm8k --k 16 --max-new 64 --sequences 64 \
		--ties likeliest --similar 1 --seed "$seed"
	run "rejection-$seed" sft --data "$out/samples-$seed/sft.jsonl" --epochs 2 --batch 16 --lr 1e-3 \
		--eval-fraction 0 --seed "$seed"
	measure "rejection-$seed" "rejection-$seed"

	run "dpo-$seed" dpo --pairs "$out/samples-$seed/pairs.jsonl" --beta 0.1 --nll 5 --epochs 4 --batch 16 --lr 1e-3 \
		--eval-fraction 0 --seed "$seed"
	measure "dpo-$seed" "dpo-$seed"

	run "ppo-$seed" ppo --prompts "$out/train.jsonl" --scorer gsm8k --k 4 --rollout 64 --max-new 64 \
		--ppo-epochs 2 --mini-batches 2 --batch 32 --steps 256 --lr 1e-3 --kl-coef 0.02 --seed "$seed"
	measure "ppo-$seed" "ppo-$seed"
done

# value FOLDER KEY: a number of a summary.
value() { sed -n 's/^ *"'"$2"'": *\([-0-9.e+]*\),*$/\1/p' "$out/$1/summary.json"; }

# interval: mean and half width of Student's 95 per cent interval of the numbers
# on stdin; t by degrees of freedom.
interval() {
	awk 'BEGIN {split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262", t)}
		{n++; s += $1; q += $1 * $1}
		END {m = s / n; if (n < 2 || n > 10) {printf "%.4f", m; exit}
			v = (q - n * m * m) / (n - 1); printf "%.4f ± %.4f", m, t[n - 1] * sqrt(v > 0 ? v / n : 0)}'
}

# each METHOD EXPRESSION: a line per seed of the expression in p (right of one
# answer), b (the same before) and best (right of the best of 16, before).
each() {
	for seed in $seeds; do
		echo "$(value "held-$1-$seed" mean_score) $(value "held-before-$seed" mean_score)" \
			"$(value "held-before-$seed" best_score) $(value "held-before-$seed" examples) $(value "held-before-$seed" prompts)"
	done | awk '{p = $1; b = $2; best = $3 * $4 / $5; print '"$2"'}'
}

echo "| | right, one answer | of the gap to the best of 16 closed |"
echo "|---|---|---|"
for method in $methods; do
	echo "| $method | $(each "$method" p | interval) | $(each "$method" '(p - b) / (best - b)' | interval) |"
done
