# Filled in by scripts/package_managers.py; `brew install` of the archives, nothing is compiled.
class VideoHw < Formula
  desc "Decode, encode and transcode video on whatever the machine has"
  homepage "@URL@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@URL@/releases/download/v@VERSION@/video-hw-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256:aarch64-apple-darwin@"
    end
    on_intel do
      url "@URL@/releases/download/v@VERSION@/video-hw-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256:x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@URL@/releases/download/v@VERSION@/video-hw-@VERSION@-aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256:aarch64-unknown-linux-gnu@"
    end
    on_intel do
      url "@URL@/releases/download/v@VERSION@/video-hw-@VERSION@-x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256:x86_64-unknown-linux-gnu@"
    end
  end

  def install
    bin.install "video-hw"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/video-hw"
    zsh_completion.install "completions/_video-hw"
    fish_completion.install "completions/video-hw.fish"
  end

  test do
    system bin/"video-hw", "doctor"
  end
end
