//! Encoding with settings that nobody would think of: configurations from a seeded generator on a simulated encoder, each judged
//! by what ffprobe finds in the file, and by what the simulation was told.
//!
//! `VIDEO_HW_RANDOM_SEED=N` takes other configurations. What fails names its seed and its configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use video_hw::backend::BackendKind;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, Crop};
use video_hw::container::{MuxOptions, OutputFormat, Track, TrackId, TrackKind, VideoTrack, create_muxer};
use video_hw::frame::Frame;
use video_hw::output_file::OutputFile;
use video_hw::packet::{BitstreamLayout, Packet, PictureType};
use video_hw::session::EncodeSession;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform::crop;

use super::failover::Random;
use super::nvenc::{all_well, encode, frame, tool_command};

/// The seed of this run.
pub(crate) fn seed() -> u64 {
    std::env::var("VIDEO_HW_RANDOM_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) backend: BackendKind,
    pub(crate) common: CommonEncodeConfig,
    pub(crate) special: BackendEncodeConfig,
    /// Presentation times, in milliseconds.
    times: Vec<i64>,
    forced: BTreeSet<usize>,
    /// The session is flushed in front of these frames, and goes on.
    flushed: BTreeSet<usize>,
}

impl Plan {
    /// So many frames with these settings, at random times, with IDR pictures and flushes in random places.
    pub(crate) fn new(
        backend: BackendKind,
        common: CommonEncodeConfig,
        special: BackendEncodeConfig,
        frames: usize,
        random: &mut Random,
    ) -> Self {
        let mut now = 0;
        let times = std::iter::repeat_with(|| {
            let shown = now;
            now += random.within(1, 120) as i64;
            shown
        });
        let times = times.take(frames).collect();
        let mut some = |most: usize| -> BTreeSet<usize> {
            (0..random.within(0, most)).map(|_| random.within(0, frames - 1)).collect()
        };
        let (forced, mut flushed) = (some(5), some(2));
        // There is nothing to flush in front of the first frame.
        flushed.remove(&0);
        Self { backend, common, special, times, forced, flushed }
    }

    fn pts(&self, number: usize) -> Timestamp {
        Timestamp::new(self.times[number], TimeBase::new(1, 1000).unwrap())
    }

    fn frame(&self, number: usize) -> Frame {
        let whole = frame(number, self.common.format);
        let part = Crop { left: 0, top: 0, size: self.common.dimensions };
        let mut frame = crop(&whole, part).unwrap();
        frame.pts = self.pts(number);
        frame.force_keyframe = self.forced.contains(&number);
        frame
    }

    /// Encodes everything, part by part.
    pub(crate) fn run(&self) -> Vec<Packet> {
        let config = self.common.clone();
        let mut session = EncodeSession::with_special(self.backend, config, &self.special).unwrap();
        let mut packets = Vec::new();
        let mut from = 0;
        for until in self.flushed.iter().copied().chain([self.times.len()]) {
            let part = all_well(encode(&mut session, (from..until).map(|number| self.frame(number))));
            assert_eq!(part.len(), until - from, "everything comes with the flush");
            packets.extend(part);
            from = until;
        }
        packets
    }

    /// Times, order and kinds of the packets by themselves.
    pub(crate) fn check(&self, packets: &[Packet]) {
        let shown: BTreeSet<_> = packets.iter().map(|packet| packet.pts.unwrap()).collect();
        assert_eq!((shown.len(), packets.len()), (self.times.len(), self.times.len()));
        assert!(shown.into_iter().eq((0..self.times.len()).map(|number| self.pts(number))), "times");
        assert!(packets.is_sorted_by(|a, b| a.dts < b.dts), "decoding times rise");
        let mut last = None;
        let mut since_key = 0;
        for (at, packet) in packets.iter().enumerate() {
            assert!(packet.dts <= packet.pts, "packet {at}: {:?} behind {:?}", packet.dts, packet.pts);
            let kind = packet.picture_type;
            assert_eq!(packet.keyframe, kind == Some(PictureType::Idr), "packet {at}");
            // What is shown before something that is decoded before it is a B picture, and nothing else is, as far as the
            // encoder tells kinds.
            if let Some(kind) = kind {
                assert_eq!(kind == PictureType::B, packet.pts < last, "packet {at} is {kind:?}");
            }
            if self.common.b_frames == Some(0) {
                assert!(packet.pts > last, "packet {at} is a B picture, and none is wanted");
            }
            last = last.max(packet.pts);
            since_key = if packet.keyframe { 0 } else { since_key + 1 };
            let most = self.common.gop_length.unwrap_or(u32::MAX);
            assert!(since_key < most, "packet {at}: {since_key} pictures since an IDR, of {most}");
        }
        for number in self.forced.iter().chain(&self.flushed).chain([&0]) {
            let of = packets.iter().find(|packet| packet.pts == Some(self.pts(*number)));
            assert!(of.unwrap().keyframe, "frame {number} has to be an IDR");
        }
    }

    /// Holds what ffprobe finds in an MP4 file of the packets against them: packets, frames, and their kinds as far as the
    /// encoder tells them. What it says of the stream is the answer. `b_is`: the kind that it finds where a B picture is.
    pub(crate) fn judge(&self, packets: &[Packet], b_is: char) -> BTreeMap<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("out.mp4");
        self.write(packets, &file);
        let mut found = probe(&file);
        let ticks = |time: Option<Timestamp>| time.unwrap().ticks();
        let packets_of = |section: &Section| {
            let key = if section["flags"].starts_with('K') { 'K' } else { '_' };
            format!("{},{},{key}", section["pts"], section["dts"])
        };
        let wanted: Vec<_> = packets
            .iter()
            .map(|packet| {
                let key = if packet.keyframe { 'K' } else { '_' };
                format!("{},{},{key}", ticks(packet.pts), ticks(packet.dts))
            })
            .collect();
        assert_eq!(
            found["packet"].iter().map(packets_of).collect::<Vec<_>>(),
            wanted,
            "packets: pts, dts, key"
        );
        let mut shown: Vec<_> = packets.iter().collect();
        shown.sort_by_key(|packet| packet.pts);
        assert_eq!(found["frame"].len(), shown.len());
        for (section, packet) in found["frame"].iter().zip(shown) {
            let kind = match packet.picture_type {
                Some(PictureType::Idr | PictureType::I) => Some('I'),
                Some(PictureType::P) => Some('P'),
                Some(PictureType::B) => Some(b_is),
                None => None,
            };
            let is_key = if packet.keyframe { "1" } else { "0" };
            assert_eq!((&*section["key_frame"], &section["pts"]), (is_key, &ticks(packet.pts).to_string()));
            assert!(kind.is_none_or(|kind| section["pict_type"] == kind.to_string()), "{section:?}");
        }
        let stream = found.remove("stream").and_then(|mut sections| sections.pop()).unwrap();
        assert_eq!(stream["time_base"], "1/1000");
        stream
    }

    fn write(&self, packets: &[Packet], file: &Path) {
        let output = OutputFile::create(file, false, &[]).unwrap();
        let mut muxer = create_muxer(OutputFormat::Mp4, &output, MuxOptions::default()).unwrap();
        let codec = self.common.codec;
        let layout = BitstreamLayout::elementary(codec);
        let track = Track {
            id: TrackId(0),
            kind: TrackKind::Video,
            time_base: TimeBase::new(1, 1000).unwrap(),
            codec_name: codec.name().to_owned(),
            language: None,
            duration: None,
            sample_count: None,
            video: Some(VideoTrack::new(codec, layout, self.common.dimensions)),
            copy: None,
        };
        let track = muxer.add_track(&track).unwrap();
        for packet in packets {
            muxer.write(&packet.clone().on(track)).unwrap();
        }
        muxer.finish().unwrap();
        drop(muxer);
        output.commit().unwrap();
    }
}

/// Names and values that ffprobe tells.
type Section = BTreeMap<String, String>;

/// The sections of ffprobe's answer by their kinds.
fn probe(file: &Path) -> BTreeMap<String, Vec<Section>> {
    let entries = "packet=pts,dts,flags:frame=key_frame,pts,pict_type:stream";
    let output = tool_command("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "compact"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let mut found: BTreeMap<String, Vec<Section>> = BTreeMap::new();
    for line in said.lines() {
        let mut fields = line.split('|');
        let kind = fields.next().unwrap().to_owned();
        let pairs = fields.filter_map(|field| field.split_once('='));
        let section = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        found.entry(kind).or_default().push(section);
    }
    found
}

/// The settings of each encode session of a simulation's report, in the order in which they ended; questions alone have none.
pub(crate) fn settings_of_sessions(report: &str) -> Vec<BTreeMap<String, String>> {
    let blocks = report.split("\"settings\": {").skip(1);
    blocks
        .map(|block| {
            let (block, _) = block.split_once('}').unwrap();
            let pairs = block.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
            pairs.map(|(key, value)| (key.replace('"', ""), value.replace('"', ""))).collect()
        })
        .collect()
}
