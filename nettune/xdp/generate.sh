#!/bin/sh
# Builds the filter's object and its Go side from bpf/*.c and *.h.
# Needs Debian 12's packages clang-14, llvm-14 and libbpf-dev; the version is
# fixed because another compiler writes another object. The result does not
# depend on where the tree lies; .ci/run builds it again and compares.
set -eu
cd "$(dirname "$0")"
for tool in clang-14 llvm-strip-14; do
	command -v "$tool" >/dev/null || {
		echo "generate.sh: $tool is missing: apt-get install clang-14 llvm-14 libbpf-dev" >&2
		exit 1
	}
done
GOPACKAGE=xdp go run github.com/cilium/ebpf/cmd/bpf2go@v0.22.0 \
	-cc clang-14 -strip llvm-strip-14 -target bpfel -no-global-types \
	-type reason -type address -type rule_key -type rule -type source -type settings \
	filter bpf/filter.c -- \
	-O2 -g -Wall -Werror -mcpu=v3 -I"/usr/include/$(uname -m)-linux-gnu"
