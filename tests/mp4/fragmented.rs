//! Fragmented files that are written here, with ffmpeg as judge.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use video_hw::Error;
use video_hw::container::Muxer;
use video_hw::container::mp4::{Mp4FragmentMuxer, Mp4MuxOptions};

use crate::mux::{opaque_sample, opaque_track};
use crate::support::*;

/// A pipe: bytes go in and cannot be changed any more.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Pipe {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fragment(from: &Path, to: &Path) {
    let pipe = Pipe::default();
    copy_all(&mut open(from), &mut Mp4FragmentMuxer::new(pipe.clone(), Mp4MuxOptions::default()));
    std::fs::write(to, pipe.bytes()).unwrap();
}

fn times(path: &Path) -> Vec<(u32, i64, i64, usize, bool)> {
    let mut samples: Vec<_> = read_all(&mut open(path))
        .iter()
        .map(|s| (s.track.0, s.pts.unwrap().ticks(), s.dts.unwrap().ticks(), s.data.len(), s.keyframe))
        .collect();
    // Tracks are interleaved by fragment.
    samples.sort_by_key(|sample| sample.0);
    samples
}

#[test]
fn delays_and_cuts_keep_their_times() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let input = path.to_str().unwrap();
    for (number, args) in [
        format!("-itsoffset 1.5 -i {input} -c copy"),
        format!("-i {input} -itsoffset 0.333 -i {input} -map 0:v -map 1:a -c copy"),
        format!("-ss 1.2 -i {input} -c copy"),
    ]
    .iter()
    .enumerate()
    {
        let cut = dir.path().join(format!("cut{number}.mp4"));
        ffmpeg(args, &cut);
        let out = dir.path().join("fragmented.mp4");
        fragment(&cut, &out);
        assert_eq!(times(&cut), times(&out), "{args}");
        let hidden = |path: &Path| read_all(&mut open(path)).iter().filter(|sample| sample.discard).count();
        assert_eq!(hidden(&cut), hidden(&out), "{args}");
        assert_eq!(complaints(&out), "", "{args}");
        for stream in 0..2 {
            let judged = |path: &Path| probe(path, stream).iter().map(|row| row.pts).collect::<Vec<_>>();
            assert_eq!(judged(&cut), judged(&out), "stream {stream} of {args}");
        }
    }
}

#[test]
fn pcm_and_every_codec_survive() {
    let sound = "-f lavfi -i sine=duration=3:sample_rate=48000 -ac 2 -c:a pcm_s16le";
    for (encoder, args) in CODECS {
        let Some((dir, path)) = make(&format!("{PICTURE} {args}"), "a.mp4", encoder) else { continue };
        let both = dir.path().join("b.mov");
        let file = if encoder == "libx264" || encoder == "libx265" { &both } else { &path };
        if file == &both {
            ffmpeg(&format!("-i {} {sound} -c:v copy -map 0:v -map 1:a", path.display()), &both);
        }
        let out = dir.path().join("fragmented.mp4");
        fragment(file, &out);
        assert_eq!(complaints(&out), "", "{encoder}");
        let pictures = |path: &Path, map: &str| {
            let args = format!("-v error -i {} -map 0:{map} -vsync passthrough -f md5 -", path.display());
            run("ffmpeg", &args.split_whitespace().collect::<Vec<_>>())
        };
        assert_eq!(pictures(file, "v"), pictures(&out, "v"), "{encoder}");
        if file == &both {
            assert_eq!(pictures(file, "a"), pictures(&out, "a"), "{encoder}");
            let heard = |path: &Path| {
                let all = read_all(&mut open(path)).into_iter().filter(|sample| sample.track.0 == 2);
                all.flat_map(|sample| sample.data.to_vec()).collect::<Vec<u8>>()
            };
            assert!(heard(file) == heard(&out), "{encoder}: sound");
        }
    }
}

#[test]
fn only_one_fragment_is_held() {
    let pipe = Pipe::default();
    let mut muxer = Mp4FragmentMuxer::new(pipe.clone(), Mp4MuxOptions::default());
    let track = opaque_track(*b"meta", 1, 1000);
    let ids = [muxer.add_track(&track).unwrap(), muxer.add_track(&track).unwrap()];
    let mut written = 0;
    for at in 0..2000_i64 {
        // The second track ends early, and nothing is a key frame: fragments are written all the same.
        for id in ids.iter().take(if at < 100 { 2 } else { 1 }) {
            let mut sample = opaque_sample(&track, *id, at * 40, at * 40);
            sample.data = vec![0; 10_000].into();
            sample.keyframe = at == 0;
            muxer.write(&sample).unwrap();
            written += sample.data.len();
        }
        let held = written - pipe.0.lock().unwrap().len().min(written);
        assert!(held < 6 * 25 * 2 * 10_000, "{held} bytes wait at sample {at}");
    }
    muxer.finish().unwrap();
    assert!(matches!(muxer.finish(), Err(Error::InvalidInput { .. })));
    let bytes = pipe.bytes();
    let samples = read_all(&mut open_bytes(&bytes));
    assert_eq!(samples.len(), 2100);
    assert!(samples.iter().all(|sample| sample.data.len() == 10_000 && !sample.discard));
}

#[test]
fn what_fragments_cannot_say_is_refused() {
    let mut muxer = Mp4FragmentMuxer::new(Pipe::default(), Mp4MuxOptions::default());
    assert!(matches!(muxer.finish(), Err(Error::InvalidInput { .. })), "no samples");
    let track = opaque_track(*b"meta", 1, 1000);
    let id = muxer.add_track(&track).unwrap();
    muxer.write(&opaque_sample(&track, id, 0, 0)).unwrap();
    assert!(muxer.add_track(&track).is_err());
    let mut hidden = opaque_sample(&track, id, 40, 40);
    (hidden.discard, hidden.keyframe) = (true, false);
    assert!(matches!(muxer.write(&hidden), Err(Error::Unsupported { .. })));
    hidden.keyframe = true;
    muxer.write(&hidden).unwrap();
    assert_eq!(muxer.finish().unwrap().samples, 1);
}

/// What a player that is given the bytes through a pipe sees.
fn probe_pipe(path: &Path, stream: usize) -> Vec<Row> {
    probe_input(std::fs::File::open(path).unwrap().into(), "pipe:0", stream)
}

#[test]
fn fragments_say_what_a_plain_file_says() {
    let long = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=4 -f lavfi -i \
                sine=frequency=440:duration=4:sample_rate=44100";
    for (encoder, args) in CODECS {
        let Some((dir, path)) = make(&format!("{long} {args} -c:a aac"), "a.mp4", encoder) else { continue };
        let (plain, fragments) = (dir.path().join("plain.mp4"), dir.path().join("fragments.mp4"));
        remux(&path, &plain, false);
        fragment(&path, &fragments);
        assert!(find(&std::fs::read(&fragments).unwrap(), "moof").is_some());
        for stream in 0..2 {
            // This ffprobe estimates the durations of samples in fragments, and does not apply the start of an
            // edit list to them, so that it does not call the priming of sound discarded.
            let told = |mut rows: Vec<Row>| {
                for row in &mut rows {
                    (row.duration, row.discard) = (0, false);
                }
                rows
            };
            let wanted = told(probe(&plain, stream));
            // No shift: the fragments begin at the same time.
            assert!(told(probe(&fragments, stream)) == wanted, "stream {stream} of {encoder}");
            assert!(told(probe_pipe(&fragments, stream)) == wanted, "stream {stream} of {encoder}, piped");
        }
        // What it does not tell, the demuxer does.
        let told = |path: &Path| -> Vec<(u32, Row)> {
            let mut samples = read_all(&mut open(path));
            // Stable: tracks are interleaved in another way.
            samples.sort_by_key(|sample| sample.track);
            samples.iter().map(|sample| (sample.track.0, row(sample))).collect()
        };
        assert_eq!(told(&plain), told(&fragments), "{encoder}");
        assert!(told(&plain).iter().any(|(track, row)| *track == 2 && row.discard), "sound has priming");
        assert_eq!(complaints(&fragments), "", "{encoder}");
    }
}
