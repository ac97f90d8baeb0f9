#!/usr/bin/env bash
# An archive of the program as people download it, and its checksum (docs/releases.md):
#   scripts/release.sh [--target TARGET] [--profile PROFILE] [--out DIR]
# --target   what the program runs on (default: this machine). For Linux (x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu) it
#            is linked by zig against glibc 2.28 with the C++ library inside, on any Linux; other systems are built on themselves.
# --profile  the profile of Cargo (default: release, which takes a while)
# --out      where the archive goes (default: output/release)
# Needs python3 with venv; from PyPI come zig and cargo-zigbuild, kept in ${XDG_CACHE_HOME:-~/.cache}/video-hw-zig.
set -euo pipefail
cd "$(dirname "$0")/.."

zig_versions=(ziglang==0.17.1 cargo-zigbuild==0.24.0)
floor=2.28
target=$(rustc -vV | sed -n 's/^host: //p')
profile=release
out=output/release
while [ $# -gt 0 ]; do
  case "$1" in
    --target | --profile | --out) [ $# -ge 2 ] || { echo "$1 needs a word" >&2; exit 2; }; declare "${1#--}=$2"; shift 2 ;;
    *) sed -n '2,8p' "$0"; exit 2 ;;
  esac
done
python=$(command -v python3 || command -v python)
built=${CARGO_TARGET_DIR:-target}/$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
runner=()
exe=''
if ! command -v nasm >/dev/null 2>&1 && [ "${target%%-*}" = x86_64 ]; then
  echo "please install nasm: without it the embedded encoder is slower" >&2
  exit 1
fi
case "$target" in
  *-linux-gnu)
    tools=${XDG_CACHE_HOME:-$HOME/.cache}/video-hw-zig
    if ! [ -e "$tools/${zig_versions[*]}" ]; then
      "$python" -m venv "$tools"
      "$tools/bin/pip" install --quiet "${zig_versions[@]}"
      : >"$tools/${zig_versions[*]}"
    fi
    export PATH=$tools/bin:$PATH
    sysroot=$(scripts/sysroot.sh "$target")
    if [ "$sysroot" != "$(rustc --print sysroot)" ]; then
      variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_RUSTFLAGS
      declare -x "$variable=--sysroot $sysroot"
    fi
    cargo-zigbuild zigbuild --locked --profile "$profile" --target "$target.$floor" --package video-hw-cli
    # What is not of this processor needs qemu-user to write its own pages.
    if [ "${target%%-*}" != "$(uname -m)" ]; then runner=("qemu-${target%%-*}" -L "/usr/${target%%-*}-linux-gnu"); fi ;;
  *)
    case "$target" in
      *-windows-msvc) exe=.exe ; export CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_RUSTFLAGS="-C target-feature=+crt-static" ;;
      *-windows-*) exe=.exe ;;
    esac
    cargo build --locked --profile "$profile" --target "$target" --package video-hw-cli ;;
esac

version=$("$python" scripts/notices.py --version)
name=video-hw-$version-$target
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/$name/completions" "$out"
cp "$built/video-hw$exe" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$dir/$name/"
"$python" scripts/notices.py --target "$target" >"$dir/$name/THIRD-PARTY.txt"
# Older shells (macOS has 3.2) take an empty list for a name that is not set.
program=(${runner[@]+"${runner[@]}"} "$dir/$name/video-hw$exe")
for pair in bash:video-hw zsh:_video-hw fish:video-hw.fish powershell:video-hw.ps1; do
  "${program[@]}" completions "${pair%%:*}" >"$dir/$name/completions/${pair#*:}"
done
"${program[@]}" man "$dir/$name/man"

# Always the same bytes for the same program: sorted, nobody's, of the time of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} "$python" - "$dir" "$name" "$out" "$exe" <<'PACK'
import gzip, hashlib, os, pathlib, sys, tarfile, time, zipfile

folder, name, out, exe = sys.argv[1:]
when = int(os.environ["SOURCE_DATE_EPOCH"])
files = sorted(path for path in pathlib.Path(folder, name).rglob("*") if path.is_file())
programs = {"video-hw" + exe}
archive = pathlib.Path(out, name + (".zip" if exe else ".tar.gz"))
if exe:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in files:
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), time.gmtime(when)[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            pack.writestr(info, path.read_bytes())
else:
    with open(archive, "wb") as raw, gzip.GzipFile("", "wb", mtime=when, fileobj=raw) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as pack:
            for path in files:
                info = tarfile.TarInfo(path.relative_to(folder).as_posix())
                info.size, info.mtime = path.stat().st_size, when
                info.mode = 0o755 if path.name in programs else 0o644
                with open(path, "rb") as content:
                    pack.addfile(info, content)
digest = hashlib.sha256(archive.read_bytes()).hexdigest()
pathlib.Path(f"{archive}.sha256").write_text(f"{digest}  {archive.name}\n", newline="\n")
print(f"{archive}: {archive.stat().st_size} bytes, sha256 {digest}")
PACK
