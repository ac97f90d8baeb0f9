//! Sample entries both ways, and those that ffmpeg writes.

use std::fs;
use std::process::Command;

use super::*;

/// The sample entry of the only track of a file that ffmpeg makes, cut out of its `stsd`.
fn of_ffmpeg(args: &[&str], extension: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("sound.{extension}"));
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=duration=0.2:sample_rate=48000", "-ac", "2"])
        .args(args)
        .arg(&path)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no ffmpeg that codes {args:?}");
        return None;
    }
    let file = fs::read(&path).unwrap();
    let at = file.windows(4).position(|bytes| bytes == b"stsd").unwrap() + 12;
    let len = be_u32(&file, at).unwrap() as usize;
    Some(file[at..at + len].to_vec())
}

#[test]
fn entries_of_ffmpeg_are_understood_and_said_again() {
    let cases: [(&[&str], &str, SoundCodec, usize); 9] = [
        (&["-c:a", "aac"], "mp4", SoundCodec::Aac, 5),
        (&["-c:a", "libmp3lame"], "mp4", SoundCodec::Mp3, 0),
        (&["-c:a", "libopus"], "mp4", SoundCodec::Opus, 19),
        (&["-c:a", "flac", "-strict", "-2"], "mp4", SoundCodec::Flac, 38),
        (&["-c:a", "ac3"], "mp4", SoundCodec::Ac3, 3),
        (&["-c:a", "eac3"], "mp4", SoundCodec::Eac3, 5),
        (&["-c:a", "alac"], "mp4", SoundCodec::Alac, 24),
        (&["-c:a", "pcm_s16le"], "mov", SoundCodec::Pcm(Pcm::Integer { big_endian: false }), 0),
        (&["-c:a", "pcm_f32be"], "mov", SoundCodec::Pcm(Pcm::Float { big_endian: true }), 0),
    ];
    for (args, extension, codec, config) in cases {
        let Some(entry) = of_ffmpeg(args, extension) else { continue };
        let sound = Sound::from_sample_entry(&entry).unwrap_or_else(|| panic!("{args:?}"));
        assert_eq!((sound.codec, sound.channels, sound.sample_rate), (codec, 2, 48_000), "{args:?}");
        assert_eq!(sound.config.len(), config, "{args:?}: {:?}", sound.config);
        let again = sound.sample_entry().unwrap();
        assert_eq!(Sound::from_sample_entry(&again), Some(sound), "{args:?}");
    }
}

/// The headers of frames that ffmpeg makes give the boxes that ffmpeg makes of them.
#[test]
fn dolby_frames_describe_themselves_as_ffmpeg_does() {
    for (codec, name) in [(SoundCodec::Ac3, "ac3"), (SoundCodec::Eac3, "eac3")] {
        for rate in ["48000", "44100"] {
            let args = ["-c:a", name, "-ar", rate, "-b:a", "192k"];
            let Some(entry) = of_ffmpeg(&args, "mp4") else { continue };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("frames.{name}"));
            let source = "sine=duration=0.2:sample_rate=48000";
            let made = Command::new("ffmpeg")
                .args(["-v", "error", "-f", "lavfi", "-i", source, "-ac", "2"])
                .args(args)
                .arg(&path)
                .status()
                .unwrap();
            assert!(made.success());
            let frames = fs::read(&path).unwrap();
            let ours = match codec {
                SoundCodec::Ac3 => Sound::of_ac3_frame(&frames),
                _ => Sound::of_eac3_unit(&frames),
            };
            let (ours, theirs) = (ours.unwrap(), Sound::from_sample_entry(&entry).unwrap());
            assert_eq!((ours.codec, ours.channels, ours.sample_rate), (codec, 2, rate.parse().unwrap()));
            // The rate of E-AC-3 is ffmpeg's average over frames.
            let from = if codec == SoundCodec::Ac3 { 0 } else { 2 };
            assert_eq!(ours.config[from..], theirs.config[from..], "{name} {rate}");
        }
    }
}

#[test]
fn uncompressed_sound_of_every_kind_comes_back() {
    for big_endian in [false, true] {
        for rate in [8000, 48_000, 192_000] {
            for bits in [16, 24, 32] {
                let pcm = SoundCodec::Pcm(Pcm::Integer { big_endian });
                let sound = Sound { bits, ..Sound::new(pcm, 2, rate, Bytes::new()) };
                assert_eq!(Sound::from_sample_entry(&sound.sample_entry().unwrap()), Some(sound));
            }
            for bits in [32, 64] {
                let pcm = SoundCodec::Pcm(Pcm::Float { big_endian });
                let sound = Sound { bits, ..Sound::new(pcm, 6, rate, Bytes::new()) };
                assert_eq!(Sound::from_sample_entry(&sound.sample_entry().unwrap()), Some(sound));
            }
        }
    }
    let bytes = Sound {
        bits: 8,
        ..Sound::new(SoundCodec::Pcm(Pcm::Integer { big_endian: false }), 1, 8000, Bytes::new())
    };
    assert_eq!(Sound::from_sample_entry(&bytes.sample_entry().unwrap()), Some(bytes));
}

#[test]
fn codecs_without_a_box_of_their_own_are_told_by_object_types() {
    let laced = [&[2, 30, 2][..], b"\x01vorbis\0\0\0\0\x02\x80\xbb\0\0", &[0; 40]].concat();
    for sound in [
        Sound::new(SoundCodec::Vorbis, 0, 0, laced),
        Sound::new(SoundCodec::Dts, 6, 48_000, Bytes::new()),
        Sound::new(SoundCodec::Dts, 6, 48_000, vec![1; 20]),
        Sound::new(SoundCodec::Mp3, 2, 22_050, Bytes::new()),
    ] {
        assert_eq!(Sound::from_sample_entry(&sound.sample_entry().unwrap()), Some(sound));
    }
}

#[test]
fn high_efficiency_aac_states_the_rate_of_its_output() {
    // Object type 5 over a core of 24 kHz, 48 kHz out, core of low complexity.
    let sound = Sound::aac(vec![0x2b, 0x11, 0x88, 0x00]);
    assert_eq!((sound.channels, sound.sample_rate), (2, 48_000));
}

#[test]
fn cut_entries_are_no_sound_and_no_panic() {
    let whole = Sound::new(SoundCodec::Opus, 2, 48_000, &b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..]);
    let entry = whole.sample_entry().unwrap();
    for end in 0..entry.len() {
        assert_eq!(Sound::from_sample_entry(&entry[..end]), None);
    }
    assert_eq!(Sound::of_ac3_frame(&[0x0b, 0x77, 0]), None);
    assert_eq!(Sound::of_eac3_unit(&[0x0b, 0x77, 0, 0, 0]), None);
}
