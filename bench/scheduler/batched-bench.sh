#!/bin/sh
# Builds llama-batched-bench from the source that node-llama-cpp ships with its binaries, into bench/.build. Takes some
# minutes; needs git, cmake and a C++ compiler.
set -eu
bench=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q "$bench/../node_modules/node-llama-cpp/llama/gitRelease.bundle" "$work/source"
cmake -S "$work/source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_OPENMP=OFF \
  -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
  -DLLAMA_BUILD_UI=OFF
cmake --build "$work/build" --target llama-batched-bench -j "$(nproc)"
mkdir -p "$bench/.build"
cp -P "$work"/build/bin/llama-batched-bench "$work"/build/bin/*.so* "$bench/.build/"
