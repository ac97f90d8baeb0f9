//! Films whose pictures carry their numbers, what ffmpeg sees of a file, and numbers at random.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use video_hw::pipeline::TranscodeReport;

pub(crate) const WIDTH: usize = 160;
pub(crate) const HEIGHT: usize = 96;
/// Bits of the number that are painted into a picture, as squares of this side.
const BITS: usize = 10;
const SQUARE: usize = 16;

/// A film of 25 frames a second: a moving ramp, and along the top the picture's number in black and white.
pub(crate) fn film(path: &Path, frames: usize) {
    let mut out = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420jpeg\n").into_bytes();
    for number in 0..frames {
        out.extend_from_slice(b"FRAME\n");
        for y in 0..HEIGHT {
            out.extend((0..WIDTH).map(|x| match number >> (x / SQUARE) & 1 {
                bit if y < SQUARE => {
                    if bit == 1 {
                        220
                    } else {
                        30
                    }
                }
                _ => (48 + (x / 4 + y / 2 + 5 * number) % 128) as u8,
            }));
        }
        out.resize(out.len() + WIDTH * HEIGHT / 2, 128);
    }
    std::fs::write(path, out).unwrap();
}

/// Whether ffmpeg is here; says so where it is not.
pub(crate) fn have_ffmpeg() -> bool {
    let have = Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success());
    if !have {
        let _ = std::io::stderr().write_all(b"SKIPPED: no ffmpeg to judge the file\n");
    }
    have
}

/// The file holds pictures 0 to `frames`, each once and at its time, and ffmpeg has nothing to say about it.
pub(crate) fn judge(file: &Path, frames: usize, what: &str) {
    judge_as(file, &(0..frames).collect::<Vec<_>>(), 25, what);
}

/// The file holds the pictures of these numbers, of whatever size, at so many a second.
pub(crate) fn judge_as(file: &Path, wanted: &[usize], rate: u32, what: &str) {
    let times = file.with_extension("times");
    let output = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("NVSIM_REPORT")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-copyts", "-i"])
        .arg(file)
        .args(["-map", "0:v", "-vsync", "passthrough", "-s", &format!("{WIDTH}x{HEIGHT}")])
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "pipe:1"])
        .args(["-map", "0:v", "-vsync", "passthrough", "-enc_time_base", &format!("1/{rate}")])
        .args(["-f", "framecrc", "-y"])
        .arg(&times)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{what}: {said}");
    let numbers: Vec<_> = output.stdout.chunks(WIDTH * HEIGHT).map(number).collect();
    assert_eq!(numbers, wanted, "{what}: pictures");
    let times = std::fs::read_to_string(times).unwrap();
    let lines = times.lines().filter(|line| !line.starts_with('#'));
    let pts: Vec<usize> = lines.map(|line| line.split(',').nth(2).unwrap().trim().parse().unwrap()).collect();
    assert_eq!(pts, (0..wanted.len()).collect::<Vec<_>>(), "{what}: times");
}

/// The number that a picture carries.
fn number(luma: &[u8]) -> usize {
    let at = |bit: usize| luma[SQUARE / 2 * WIDTH + bit * SQUARE + SQUARE / 2] > 125;
    (0..BITS).map(|bit| usize::from(at(bit)) << bit).sum()
}

/// Every frame that went in is in the file, and the books say so.
pub(crate) fn assert_whole(report: &TranscodeReport, frames: usize, what: &str) {
    assert!(report.balances(), "{what}: {report:?}");
    let ledger = &report.encode.ledger;
    let counts = (ledger.submitted, ledger.delivered, ledger.failed, ledger.dropped_total(), ledger.pending);
    assert_eq!(counts, (frames as u64, frames as u64, 0, 0, 0), "{what}");
    assert!(report.losses.reasons().is_empty(), "{what}: {:?}", report.losses);
}

/// Numbers that a seed gives (Steele and Vigna's SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// From `low` to `high`, both included.
    pub(crate) fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below((high - low + 1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.within(1, n) == 1
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.within(0, all.len() - 1)]
    }
}

/// Whether the long form of a test was asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("VIDEO_HW_LONG").is_some_and(|value| value != "0")
}

/// Past the test runner, which keeps what tests print that pass.
pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// The children of this process that run ffmpeg and live.
#[cfg(target_os = "linux")]
pub(crate) fn children() -> Vec<u32> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Gone meanwhile.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next(), fields.next().and_then(|field| field.parse::<u32>().ok()));
        if parent == Some(own) && state != Some("Z") && name.ends_with("(ffmpeg") {
            found.push(pid);
        }
    }
    found
}
