#!/usr/bin/env bash
# The numerical tests as another machine would run them: on one thread, without the newest vector instructions, in a copy of the working
# tree at a path with a space and an umlaut. `make test-elsewhere` sets up .venv first, whose packages the copy uses.
#
#   scripts/test_elsewhere.sh [what pytest shall run instead of the folders below]
set -euo pipefail
cd "$(dirname "$0")/.."

numerical=(parity schedules test_parameterizations.py test_variances.py objectives samplers guidance conditioning ema networks metrics
  studies/statistics test_process.py test_noise.py test_types.py test_denoiser.py)

aside="$(mktemp -d)"
trap 'rm -rf "$aside"' EXIT
there="$aside/my clone ü"
mkdir "$there"
tar -c --exclude-vcs --exclude={./.venv,./runs,./data,./samples,./evaluations,./wandb,./build,./dist,__pycache__,.pytest_cache,.ruff_cache} . \
  | tar -x -C "$there"

# an environment of its own, in which difflab is the copy and all else is imported from here
packages="$(.venv/bin/python -c 'import sys; print(*(p for p in sys.path if p.endswith("-packages")), sep="\n")')"
.venv/bin/python -m venv --without-pip "$there/.venv"
site="$("$there/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
printf '%s\n' "$there/src" "$packages" > "$site/elsewhere.pth"
touch "$there/.venv/"{installed,dev-installed}
imported="$(cd / && "$there/.venv/bin/python" -c 'import difflab; print(difflab.__file__)')"
[ "$imported" = "$there/src/difflab/__init__.py" ] || { echo "not the copy's difflab: $imported" >&2; exit 1; }

export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
if grep -qsw avx2 /proc/cpuinfo; then export ATEN_CPU_CAPABILITY=avx2; else export ATEN_CPU_CAPABILITY=default; fi
tests=("${@:-${numerical[@]/#/tests/}}")
make --silent -C "$there" TORCH_INDEX= test ARGS="${tests[*]}"
