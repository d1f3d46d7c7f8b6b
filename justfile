# Everyday commands; `just` lists them.

_default:
    @just --list

# Runs the routing pattern on this machine.
up *ARGS:
    cargo run --release --bin baikonur -- up {{ARGS}}

# Formatting, lints and dependency policy.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo deny --locked check bans licenses sources

# Everything that CI runs after `check`.
test:
    tests/run.sh

# Unit, property, crash-simulation and in-process tests only.
test-rust:
    cargo test --workspace --locked

# All benchmarks, with a summary.
bench *ARGS:
    bench/run.py {{ARGS}}

# Random kill -9 under load, as many rounds as asked for.
crash ROUNDS="200":
    BAIKONUR_CRASH_ROUNDS={{ROUNDS}} tests/end_to_end/run.sh -k crash
