//! `--verify`: whether what came out is right. Asked of the output of the last run, outside the time that is measured.

use std::collections::HashMap;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::args::{BenchArgs, Case, Pictures};
use super::cases::{Job, OTHER, OWN};
use super::child::{self, Limits, Program};
use super::input::Source;
use super::peer::{self, Peer};
use super::record::{Check, Verify};

/// What ffmpeg makes of a file in a format: asked once.
type Sums = HashMap<(PathBuf, String), Result<String, String>>;

/// How far a time may lie from where it should: containers round to their own ticks.
const SAME_TIME: f64 = 0.001;

pub(crate) struct Verifier<'a> {
    pub(crate) args: &'a BenchArgs,
    /// The version that outputs are judged by.
    pub(crate) judge: &'a Path,
    pub(crate) peer: Option<&'a Peer>,
    pub(crate) limits: Limits<'a>,
}

impl Verifier<'_> {
    pub(crate) fn all(&self, jobs: &mut [Job]) {
        let mut sums = Sums::new();
        let measured = jobs.iter().filter(|job| !job.row.runs.is_empty());
        let peers: Vec<(String, u64)> = measured.map(|job| (job.row.id.clone(), frames_of(job))).collect();
        for job in jobs.iter_mut().filter(|job| !job.row.runs.is_empty() && job.row.failed.is_none()) {
            if self.limits.interrupts.token.is_cancelled() {
                return;
            }
            let Some(source) = job.source.clone() else { continue };
            let mut verify = Verify::default();
            match job.what.case {
                Case::Latency | Case::Soak => continue,
                Case::Decode | Case::Rgb | Case::Multi | Case::Startup => {
                    let mut counted = frames(frames_of(job), job.expected * u64::from(job.copies));
                    counted.found.push_str(unseen(job));
                    verify.checks.push(counted);
                    if let Some((_, theirs)) = peers.iter().find(|(id, _)| Some(id) == job.row.peer.as_ref())
                    {
                        verify.checks.push(against_peer(frames_of(job), *theirs));
                    }
                    let sums_of = match job.row.program.as_str() {
                        OWN => job.row.peer.is_some(),
                        // It is what ours is compared with where there is no ffmpeg.
                        OTHER => self.peer.is_some(),
                        _ => false,
                    };
                    if sums_of && matches!(job.what.case, Case::Decode | Case::Multi) {
                        verify.checks.push(self.same_pictures(job, &source, &mut sums));
                    }
                }
                Case::Encode | Case::Transcode | Case::Switch => {
                    let Some(output) = job.output.clone() else { continue };
                    self.encoded(job, &source, &output, &mut verify);
                }
            }
            job.row.verify = Some(verify);
        }
    }

    fn judge(&self) -> Program {
        Program::new(self.judge, &self.args.env)
    }

    fn said(&self, program: &Program) -> Result<String, String> {
        let done = child::run(program, &self.limits).map_err(|error| error.to_string())?;
        if !done.success() {
            return Err(done.failure());
        }
        match done.message() {
            // Also where the exit code says otherwise: damage is told and passed over.
            Some(message) => Err(message),
            None => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        }
    }

    fn json(&self, program: &Program) -> Result<Value, String> {
        serde_json::from_str(&self.said(program)?).map_err(|error| error.to_string())
    }

    /// The sum of every sample as a version of this program decodes it for a row, and the format of the samples.
    fn sum(&self, own: &Path, job: &Job, source: &Source) -> Result<(String, String), String> {
        let program = Program::new(own, &self.args.env);
        let program = program.arg("decode").arg(&source.path).args(["--md5", "--json", "--quiet"]);
        let program =
            program.args(["--backend", job.what.backend.name()]).option("--device", self.args.device.clone());
        let program = if on_device(job) {
            // The decoder's own format: what else there is may be made on the CPU alone.
            program.args(["--output", Pictures::Device.name()])
        } else {
            program.args(["--pix-fmt", source.input.pixel_format.as_deref().unwrap_or("yuv420p")])
        };
        // As the row was measured.
        let set = |name: &str| job.row.settings.get(name).cloned();
        let program = program.option("--engines", set("engines")).option("--threads", set("threads"));
        let said = self.json(&program.option("--frames", source.limit()))?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).ok_or(format!("no {name}"));
        Ok((text("md5")?, text("pix_fmt")?))
    }

    /// Every decoded sample by both programs. Ours come out where the row had them; ffmpeg's are the CPU's, of the same format.
    /// Without ffmpeg another version's are compared, of the same backend.
    fn same_pictures(&self, job: &Job, source: &Source, sums: &mut Sums) -> Check {
        let own = job.program.as_ref().map_or(self.judge, |program| &program.path);
        let (ours, format) = match self.sum(own, job, source) {
            Ok(ours) => ours,
            Err(why) => return check("md5", Err(format!("this program tells no sum: {why}"))),
        };
        let other;
        let (whose, theirs) = match (self.peer, &self.args.against) {
            (Some(peer), _) => {
                let sum = sums.entry((source.path.clone(), format.clone())).or_insert_with(|| {
                    let said = self.said(&peer.md5(self.args, source, &format))?;
                    let sum = said.trim().strip_prefix("MD5=").map(str::to_owned);
                    sum.ok_or_else(|| format!("no sum but {said:?}"))
                });
                ("ffmpeg", &*sum)
            }
            (None, Some(version)) => {
                other = self.sum(version, job, source).map(|(sum, _)| sum);
                ("the other version", &other)
            }
            (None, None) => return check("md5", Err("there is no ffmpeg to compare with".to_owned())),
        };
        let place = if on_device(job) {
            format!(", ours copied from the card's memory as {format}")
        } else {
            String::new()
        };
        let found = match theirs {
            Ok(theirs) if ours == *theirs => Ok(format!("{ours} by both programs{place}")),
            Ok(theirs) => Err(format!("{ours} by this program, {theirs} by {whose}{place}")),
            Err(why) => Err(format!("{whose} reports no sum: {why}")),
        };
        check("md5", found)
    }

    fn encoded(&self, job: &Job, source: &Source, output: &Path, verify: &mut Verify) {
        // What a peer says of itself is asked as well: its output alone tells whether it did the work.
        let counted =
            self.json(&self.judge().arg("decode").arg(output).args(["--null", "--json", "--quiet"]));
        let counted = counted.and_then(|said| said["frames_out"].as_u64().ok_or("no number".to_owned()));
        verify.checks.push(match counted {
            Ok(count) => frames(count, job.expected),
            Err(why) => check("frames", Err(format!("it does not decode: {why}"))),
        });
        verify.checks.push(self.codec(job, output));
        // The other version, which has counted the frames, stands in where there is no ffmpeg.
        if self.peer.is_some() || self.args.against.is_none() {
            verify.checks.push(self.plays(output));
        }
        if job.what.case != Case::Switch {
            verify.checks.push(self.times(job, source, output));
        }
        let psnr = self.psnr(job, source, output).and_then(|found| {
            verify.psnr_db = found.is_finite().then_some(found);
            let least = self.args.min_psnr;
            let message = format!("{found:.2} dB, at least {least:.2} are asked for");
            if found >= least { Ok(message) } else { Err(message) }
        });
        verify.checks.push(check("psnr", psnr));
    }

    fn codec(&self, job: &Job, output: &Path) -> Check {
        let wanted = job.what.codec.name();
        let found = match self.ffprobe() {
            Some(ffprobe) => {
                let program =
                    Program::new(&ffprobe, &self.args.env).args(["-v", "error", "-select_streams", "v:0"]);
                let program = program.local().args(["-show_entries", "stream=codec_name", "-of", "csv=p=0"]);
                let program = program.arg(child::absolute(output));
                self.said(&program).map(|said| said.trim().trim_end_matches(',').to_owned())
            }
            None => self.json(&self.judge().arg("probe").arg(output).arg("--json")).and_then(|said| {
                said["tracks"][0]["codec"].as_str().map(str::to_owned).ok_or("no codec".to_owned())
            }),
        };
        let right =
            |found| if found == wanted { Ok(found) } else { Err(format!("{found} instead of {wanted}")) };
        check("codec", found.and_then(right))
    }

    fn plays(&self, output: &Path) -> Check {
        let Some(peer) = self.peer else {
            let why = "there is no ffmpeg to play it; install it, or name one with --ffmpeg";
            return check("plays", Err(why.to_owned()));
        };
        let program =
            Program::new(&peer.path, &self.args.env).args(["-v", "error", "-nostdin"]).input(output);
        // The encoder's time base: by default one frame of the average rate, in which uneven times collide.
        let said = self.said(&program.args(["-enc_time_base", "1/90000", "-f", "null", "-"]));
        check("plays", said.map(|_| "ffmpeg says nothing".to_owned()))
    }

    /// Presentation times, in order.
    fn times_of(&self, file: &Path) -> Result<Vec<f64>, String> {
        let mut times: Vec<f64> = if let Some(ffprobe) = self.ffprobe() {
            let program =
                Program::new(&ffprobe, &self.args.env).args(["-v", "error", "-select_streams", "v:0"]);
            let program = program.local().args(["-show_entries", "packet=pts_time", "-of", "csv=p=0"]);
            let program = program.arg(child::absolute(file));
            let said = self.said(&program)?;
            said.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
        } else {
            let said =
                self.json(&self.judge().arg("decode").arg(file).args(["--frame-md5", "--json", "--quiet"]))?;
            let list = said["frame_md5"].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|frame| frame["pts_s"].as_f64()).collect()
        };
        times.sort_by(f64::total_cmp);
        Ok(times)
    }

    fn times(&self, job: &Job, source: &Source, output: &Path) -> Check {
        let compared = self.times_of(output).and_then(|found| {
            let wanted = if job.what.case == Case::Transcode {
                let mut times = self.times_of(&source.path)?;
                times.truncate(source.input.frames as usize);
                times
            } else {
                (0..source.input.frames).map(|n| n as f64 / source.rate.as_f64()).collect()
            };
            same_times(&found, &wanted)
        });
        check("times", compared)
    }

    fn psnr(&self, job: &Job, source: &Source, output: &Path) -> Result<f64, String> {
        let program = self.judge().arg("compare").arg(&source.path).arg(output).args(["--metrics", "psnr"]);
        let program =
            program.args(["--backend", "software", "--json", "--quiet"]).option("--frames", source.limit());
        let program = if source.codec.is_none() {
            let program = program.args(["--size", &source.size(), "--pix-fmt", self.args.pix_fmt.name()]);
            program.arg("--fps").arg(source.rate.to_string())
        } else {
            program
        };
        let program = if job.what.case == Case::Switch { program.arg("--by-index") } else { program };
        let said = self.json(&program)?;
        let file = &said["files"][0];
        let alone = file["only_in_reference"]["count"].as_u64().unwrap_or(0)
            + file["only_in_file"]["count"].as_u64().unwrap_or(0);
        if alone > 0 {
            return Err(format!("{alone} frames have no counterpart"));
        }
        // No number: the same in every sample.
        Ok(file["psnr"]["average"].as_f64().unwrap_or(f64::INFINITY))
    }

    /// That of the ffmpeg at hand, else that on PATH.
    fn ffprobe(&self) -> Option<PathBuf> {
        let beside = self
            .peer
            .map(|peer| peer.path.with_file_name(format!("ffprobe{EXE_SUFFIX}")))
            .filter(|path| path.is_file());
        beside.or_else(|| peer::on_path("ffprobe"))
    }
}

fn frames_of(job: &Job) -> u64 {
    job.row.runs.last().map_or(0, |run| run.frames)
}

fn frames(found: u64, wanted: u64) -> Check {
    let right = found == wanted;
    check("frames", if right { Ok(found.to_string()) } else { Err(format!("{found} instead of {wanted}")) })
}

fn on_device(job: &Job) -> bool {
    job.what.pictures == Some(Pictures::Device)
}

/// What the count alone says nothing of.
fn unseen(job: &Job) -> &'static str {
    match (job.what.pictures, job.row.program == OWN) {
        (Some(Pictures::Metadata), true) => "; no samples were made, so none are compared",
        (Some(Pictures::Device), false) => "; its samples stayed on the card, where nothing looks at them",
        _ => "",
    }
}

fn against_peer(ours: u64, theirs: u64) -> Check {
    let right = ours == theirs;
    check(
        "frames of both",
        if right { Ok(ours.to_string()) } else { Err(format!("{ours}, but {theirs} by the peer")) },
    )
}

/// A question with what was found, or what is wrong with it.
fn check(name: &str, found: Result<String, String>) -> Check {
    Check { name: name.to_owned(), passed: found.is_ok(), found: found.unwrap_or_else(|why| why) }
}

/// Whether both lists hold the same times, counted from their first.
fn same_times(found: &[f64], wanted: &[f64]) -> Result<String, String> {
    if found.len() != wanted.len() {
        return Err(format!("{} times instead of {}", found.len(), wanted.len()));
    }
    let (Some(begin), Some(first)) = (found.first(), wanted.first()) else {
        return Err("no times".to_owned());
    };
    let off = |(a, b): (&f64, &f64)| ((a - begin) - (b - first)).abs();
    let worst = found.iter().zip(wanted).map(off).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    match worst {
        Some((number, off)) if off > SAME_TIME => {
            Err(format!("frame {number} is {:.1} ms off its time", off * 1e3))
        }
        _ => Ok(format!("{} equal ones", found.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_from_the_first_on() {
        assert!(same_times(&[1.0, 1.04, 1.08], &[0.0, 0.0401, 0.08]).is_ok());
        assert!(same_times(&[0.0, 0.04], &[0.0]).unwrap_err().contains("2 times instead of 1"));
        let off = same_times(&[0.0, 0.04, 0.09], &[0.0, 0.04, 0.08]).unwrap_err();
        assert!(off.starts_with("frame 2 is 10.0 ms"), "{off}");
    }
}
