#!/usr/bin/env bash
# Every test: unit, property, crash simulation and in-process tests, then end to end with real clients and destinations.
# What it needs beside the toolchain is installed into .parts/ from the package registries.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --locked
tests/end_to_end/run.sh "$@"
