#!/usr/bin/env bash
# The end-to-end tests against the release binary. Arguments go to pytest: -k crash, -x, --co …
#
#   BAIKONUR_BIN           another binary than target/release/baikonur
#   BAIKONUR_BOOTSTRAP     another binary of the AWS Lambda functions than `bootstrap` beside it
#   BAIKONUR_CRASH_ROUNDS  random kill -9 of the crash test (20)
#   BAIKONUR_KILLS         random kill -9 of the resharding test (6)
#   BAIKONUR_CRASH_SEED    repeats a crash test's random choices
#   BAIKONUR_TERRAFORM_MIRROR  a folder with the provider hashicorp/aws, if Terraform is not configured to find one
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ -z ${BAIKONUR_BIN:-} ]]; then
    cargo build --release --locked --bin baikonur --bin bootstrap
fi
tests/parts/install.sh
cd tests/end_to_end
PYTHONPATH=.. PYTHONDONTWRITEBYTECODE=1 exec ../../.parts/venv/bin/python -m pytest "$@"
