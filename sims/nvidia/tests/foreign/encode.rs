//! Encoder runs.

use super::{Judge, Row};

const SIZE: (u32, u32) = (1280, 720);
const RATE: u32 = 30;
/// The worst average PSNR of the luma and chroma together that a run may have.
const FLOOR: f64 = 30.0;

/// One encode with options of ffmpeg's.
pub struct EncodeRun {
    codec: &'static str,
    options: String,
    pub frames: u32,
}

impl EncodeRun {
    pub const COLUMNS: &'static [&'static str] =
        &["encoder", "options", "frames in", "frames out", "types", "PSNR dB", "kb/s"];

    pub fn new(codec: &'static str, options: &str, frames: u32) -> Self {
        Self { codec, options: options.into(), frames }
    }

    pub fn judge(&self, judge: &Judge) -> Row {
        let encoder = format!("{}_nvenc", self.codec);
        let source = format!("testsrc2=s={}x{}:r={RATE}", SIZE.0, SIZE.1);
        let frames = self.frames.to_string();
        let mut arguments = vec!["-f", "lavfi", "-i", &source, "-frames:v", &frames];
        // A pixel format of its own in the options, or NV12.
        if !self.options.contains("-pix_fmt") {
            arguments.extend(["-pix_fmt", "nv12"]);
        }
        arguments.extend(["-c:v", &encoder]);
        arguments.extend(self.options.split(' '));
        arguments.push("out.mp4");
        let (output, report) = judge.simulated(&arguments, &[]);
        let mut faults = judge.complaints(&output, &report);

        let (decoded, said) = judge.framemd5(&["-i", "out.mp4"]);
        if !said.trim().is_empty() {
            faults.push(format!("decoder said: {}", said.trim().lines().next().unwrap_or_default()));
        }
        if decoded.len() != self.frames as usize {
            faults.push(format!("{} of {} frames", decoded.len(), self.frames));
        }
        // The frames' times are those of the source, one step apart.
        let steps: Vec<_> = decoded.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        if steps.iter().any(|step| *step <= 0 || *step != steps[0]) {
            faults.push("frames are not one step apart".into());
        }
        let packets = packets(judge);
        if let Some(fault) = self.check_types(&packets) {
            faults.push(fault);
        }
        let psnr = psnr(judge, &source, &frames);
        if psnr.is_none_or(|psnr| psnr < FLOOR) {
            faults.push(format!("PSNR {psnr:?} is under {FLOOR}"));
        }
        let bytes: u64 = packets.iter().map(|packet| packet.bytes).sum();
        let kbps = bytes * 8 * u64::from(RATE) / u64::from(self.frames) / 1000;
        let types = format!(
            "{} key, {} reordered",
            packets.iter().filter(|packet| packet.key).count(),
            packets.windows(2).filter(|pair| pair[1].pts < pair[0].pts).count()
        );
        Row {
            cells: vec![
                encoder,
                self.options.replace('|', "/"),
                frames.clone(),
                decoded.len().to_string(),
                types,
                psnr.map_or(
                    "-".into(),
                    |psnr| if psnr.is_finite() { format!("{psnr:.1}") } else { "exact".into() },
                ),
                kbps.to_string(),
            ],
            faults,
        }
    }

    /// Number after an option.
    fn option(&self, name: &str) -> Option<u32> {
        let mut words = self.options.split(' ').skip_while(|word| *word != name);
        words.nth(1)?.parse().ok()
    }

    /// Key pictures where the GOP or the client wants them; pictures out of order exactly when B-frames were asked
    /// for; dts rising and never above pts.
    fn check_types(&self, packets: &[PacketLine]) -> Option<String> {
        if packets.iter().any(|packet| packet.dts > packet.pts)
            || packets.windows(2).any(|pair| pair[1].dts <= pair[0].dts)
        {
            return Some("dts out of order".into());
        }
        if !packets.first()?.key {
            return Some("the first packet is no key picture".into());
        }
        let reordered = packets.windows(2).any(|pair| pair[1].pts < pair[0].pts);
        if let Some(bframes) = self.option("-bf")
            && reordered != (bframes > 0)
        {
            return Some(format!("-bf {bframes}, but reordered: {reordered}"));
        }
        let keys = packets.iter().filter(|packet| packet.key).count() as u32;
        let wanted = match (self.option("-g"), self.options.split("n_forced*").nth(1)) {
            (Some(gop), _) => Some(self.frames.div_ceil(gop)),
            (_, Some(tail)) => {
                let step: f64 = tail.split(')').next()?.parse().ok()?;
                Some((f64::from(self.frames - 1) / f64::from(RATE) / step).floor() as u32 + 1)
            }
            _ => None,
        };
        match wanted {
            Some(wanted) if wanted != keys => Some(format!("{keys} key pictures, not {wanted}")),
            _ => None,
        }
    }
}

struct PacketLine {
    pts: i64,
    dts: i64,
    bytes: u64,
    key: bool,
}

fn packets(judge: &Judge) -> Vec<PacketLine> {
    let output = judge.plain(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "packet=pts,dts,size,flags",
            "-of",
            "json",
            "out.mp4",
        ],
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let list = json["packets"].as_array().cloned().unwrap_or_default();
    list.iter()
        .filter_map(|packet| {
            Some(PacketLine {
                pts: packet["pts"].as_i64()?,
                dts: packet["dts"].as_i64()?,
                bytes: packet["size"].as_str()?.parse().ok()?,
                key: packet["flags"].as_str()?.starts_with('K'),
            })
        })
        .collect()
}

/// Average PSNR of `out.mp4` against the source it was made from; infinite when they are equal.
fn psnr(judge: &Judge, source: &str, frames: &str) -> Option<f64> {
    let output = judge.plain(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "info",
            "-i",
            "out.mp4",
            "-f",
            "lavfi",
            "-i",
            source,
            "-frames:v",
            frames,
            "-lavfi",
            "[0:v]settb=1/30,setpts=N,format=yuv420p[a];[1:v]settb=1/30,setpts=N,format=yuv420p[b];[a][b]psnr=shortest=1",
            "-f",
            "null",
            "-",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("average:"))?;
    let value = line.split("average:").nth(1)?.split(' ').next()?;
    if value == "inf" { Some(f64::INFINITY) } else { value.parse().ok() }
}

/// Ten seconds at a bit rate.
pub struct RateRun {
    pub codec: &'static str,
    pub rate: &'static str,
    pub bits: u64,
    pub bframes: u32,
}

impl RateRun {
    pub const COLUMNS: &'static [&'static str] =
        &["encoder", "rate control", "B-frames", "asked kb/s", "got kb/s", "off by"];

    pub fn judge(&self, judge: &Judge) -> Row {
        let encoder = format!("{}_nvenc", self.codec);
        let bits = self.bits.to_string();
        let most = (self.bits * 3 / 2).to_string();
        let bframes = self.bframes.to_string();
        // Noise over a moving picture: something to spend the bits on.
        let source = "testsrc2=s=640x360:r=30,noise=alls=12:allf=t";
        let mut arguments =
            vec!["-f", "lavfi", "-i", source, "-frames:v", "300", "-pix_fmt", "nv12", "-c:v", &encoder];
        arguments.extend(["-preset", "p2", "-bf", &bframes, "-rc", self.rate, "-b:v", &bits]);
        if self.rate == "vbr" {
            arguments.extend(["-maxrate", &most]);
        }
        arguments.push("out.mp4");
        let (output, report) = judge.simulated(&arguments, &[]);
        let mut faults = judge.complaints(&output, &report);
        let bytes: u64 = packets(judge).iter().map(|packet| packet.bytes).sum();
        let got = bytes * 8 / 10;
        let off = (got as f64 / self.bits as f64 - 1.0) * 100.0;
        if off.abs() > 10.0 {
            faults.push(format!("{off:.1} % off"));
        }
        Row {
            cells: vec![
                encoder.clone(),
                self.rate.into(),
                bframes.clone(),
                (self.bits / 1000).to_string(),
                (got / 1000).to_string(),
                format!("{off:+.1} %"),
            ],
            faults,
        }
    }
}
