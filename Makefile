# What one does here, by name. Everything is plain go underneath.

# build the program into ./bin
build:
	CGO_ENABLED=0 go build -trimpath -o bin/align ./cmd/align

# run all tests
test:
	go test ./...

# test the kernels of 64-bit Arm under qemu (Debian: qemu-user-static)
test-arm64:
	mkdir -p bin/arm64
	for p in feature kern gemm; do \
		CGO_ENABLED=0 GOARCH=arm64 go test -c -o bin/arm64/$$p.test ./internal/device/cpu/$$p || exit 1; \
		(cd internal/device/cpu/$$p && ALIGN_REQUIRE_KERNEL=neon qemu-aarch64-static ../../../../bin/arm64/$$p.test) || exit 1; done

# test the level amx with AMX emulated, on a processor with AVX512_BF16 and AVX512_VBMI
test-amx:
	ALIGN_REQUIRE_KERNEL=amx scripts/emulate-amx.sh test -run /amx ./internal/device/cpu/... ./sft
	scripts/emulate-amx.sh run ./cmd/align bench sft --cfg small --batch 1 --seq 256 --threads 1 --precision bf16 --steps 1 --dropout 0.05

# format, vet, staticcheck
lint:
	gofmt -l . && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# print the rows of docs/performance.md for this machine, with the floor beside each figure
bench: build
	bin/align bench machine --precision bf16
	bin/align bench sft --cfg small --batch 2 --seq 512 --precision bf16 --threads 1
	bin/align bench sft --cfg small --batch 2 --seq 512 --precision bf16
	bin/align bench sft --cfg small --batch 2 --seq 512 --precision bf16 --threads 1 --save-policy products
	bin/align bench sft --cfg small --batch 2 --seq 512 --precision f32 --threads 1
	bin/align bench sft --cfg tiny --batch 8 --seq 256 --precision bf16 --threads 1
	bin/align bench dpo --cfg small --batch 1 --precision bf16 --threads 1 --reference every
	bin/align bench dpo --cfg small --batch 1 --precision bf16 --threads 1
	bin/align bench decode --cfg small --batch 1 --prompt 512 --resp 16 --precision bf16 --threads 1
	bin/align bench decode --cfg small --batch 16 --prompt 128 --resp 32 --precision bf16 --threads 1
	bin/align bench rollout ppo --cfg small --batch 16 --prompt 256 --resp 128 --precision bf16 --steps 2
	bin/align bench gemm attention --cfg small --seq 512 --precision bf16 --threads 1
	bin/align bench sft --cfg 1b --batch 1 --seq 512 --precision bf16 --threads 1 --steps 1
	bin/align bench decode --cfg 1b --batch 1 --prompt 64 --resp 32 --precision bf16 --steps 2
	ALIGN_CPU=avx2 bin/align bench sft --cfg small --batch 2 --seq 512 --precision f32 --threads 1
	go test -run '^$$' -bench 'LoRA|OrderOfSums|Attention' -benchtime 8x ./internal/device/cpu
	go test -run '^$$' -bench 'Quantised/impl=/kernel=/m=512' -benchtime 5x ./internal/device/cpu
	go test -run '^$$' -bench StepRatios -benchtime 8x ./model
	go test -run '^$$' -bench OpenBLAS -benchtime 12x ./internal/device/cpu/gemm

# run the Go benchmarks of all packages, in benchstat's form
bench-go:
	go test -run '^$$' -bench . ./...

# regenerate generated files
generate:
	go generate ./...

# make the PTX of the NVIDIA kernels anew, with Debian's clang-19
ptx:
	internal/device/cuda/kernels/build.sh

# put what checks a machine with an NVIDIA card, which needs no Go, into ./bin/gpu
gpu-test-binary:
	mkdir -p bin/gpu
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/gpu/align ./cmd/align
	for p in internal/device/cuda/driver internal/device/cuda/cudatest internal/device/cuda/kernels internal/device/cuda internal/rollout model sft; do \
		CGO_ENABLED=0 go test -trimpath -ldflags '-s -w' -c -o bin/gpu/$$(basename $$p).test ./$$p || exit 1; done
	CGO_ENABLED=0 go test -trimpath -ldflags '-s -w' -c -o bin/gpu/commands.test ./cmd/align
	cp scripts/gpu-check.sh scripts/gpu-torch.py scripts/gpu-peer.py scripts/gpu-curve.py bin/gpu/

# the same in one file of some 20 MiB (165 unpacked), for where a copy must be small: ./bin/gpu.tar.xz; takes minutes
gpu-test-archive: gpu-test-binary
	tar -C bin --exclude=gpu/gpu-cache --exclude='gpu/gpu-results*' -cf - gpu | xz -T1 --lzma2=preset=6,dict=256MiB >bin/gpu.tar.xz

.PHONY: build test test-arm64 test-amx lint bench bench-go generate ptx gpu-test-binary gpu-test-archive builtin size check
