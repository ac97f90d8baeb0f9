//! The software decoder behind the simulation: every coded picture at once, in coding order, as ffmpeg decodes it.

use crate::nvdec_clips::*;
use nvsim::codec::decoder::{DecoderCodec, Picture, SoftDecoder};

/// Planar samples of the display area.
fn shown(picture: &Picture) -> String {
    let size = picture.sample_bytes();
    let mut samples = Vec::new();
    for plane in 0..if picture.chroma == 400 { 1 } else { 3 } {
        let (columns, _) = picture.plane_size(plane);
        let display = Picture { width: picture.display.0, height: picture.display.1, ..picture.clone() };
        let (width, height) = display.plane_size(plane);
        for row in picture.planes[plane].chunks(columns * size).take(height) {
            samples.extend_from_slice(&row[..width * size]);
        }
    }
    md5_text(&[&samples])
}

fn same_as_ffmpeg(codec: DecoderCodec, size: &str, format: &str, options: &[&str]) -> Clip {
    let directory = tempfile::tempdir().unwrap();
    let clip = cut(&encode(directory.path(), size, 30, options), format);
    let mut decoder = SoftDecoder::open(codec, &[]).unwrap();
    let mut found = vec![String::new(); clip.expected.len()];
    for (data, place) in clip.pictures.iter().zip(&clip.places) {
        let decoded = decoder.decode(data).unwrap();
        assert!(
            !decoded.damaged && !decoded.same_as_before,
            "{place:?}: {} {}",
            decoded.damaged,
            decoded.same_as_before
        );
        let picture = decoded.picture.expect("a picture at once");
        if let Some(place) = place {
            found[*place] = shown(&picture);
        }
    }
    assert_eq!(found, clip.expected);
    clip
}

#[test]
fn h264_with_b_pictures() {
    if ffmpeg_is_there() {
        let options = [
            "-c:v",
            "libx264",
            "-bf",
            "3",
            "-b_strategy",
            "0",
            "-x264-params",
            "aud=1:b-pyramid=normal:keyint=13",
        ];
        let clip = same_as_ffmpeg(DecoderCodec::H264, "324x182", "h264", &options);
        assert!(clip.places.windows(2).any(|pair| pair[0] > pair[1]), "the clip has no B pictures");
    }
}

#[test]
fn h264_in_fields() {
    if !ffmpeg_is_there() {
        return;
    }
    // MBAFF frames: one buffer each, both fields in it.
    let options = ["-c:v", "libx264", "-bf", "2", "-flags", "+ilme+ildct", "-x264-params", "aud=1"];
    same_as_ffmpeg(DecoderCodec::H264, "320x192", "h264", &options);
}

#[test]
fn h264_high_10_and_444() {
    if ffmpeg_is_there() {
        let options = ["-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-x264-params", "aud=1"];
        same_as_ffmpeg(DecoderCodec::H264, "320x192", "h264", &options);
        let options = ["-c:v", "libx264", "-pix_fmt", "yuv444p", "-x264-params", "aud=1"];
        same_as_ffmpeg(DecoderCodec::H264, "320x192", "h264", &options);
    }
}

#[test]
fn hevc_with_b_pictures_8_and_10_bit() {
    if ffmpeg_is_there() {
        for format in ["yuv420p", "yuv420p10le"] {
            let parameters = "aud=1:bframes=3:keyint=14:log-level=error:pools=1:frame-threads=1";
            let options = ["-c:v", "libx265", "-pix_fmt", format, "-x265-params", parameters];
            let clip = same_as_ffmpeg(DecoderCodec::Hevc, "328x184", "hevc", &options);
            assert!(clip.places.windows(2).any(|pair| pair[0] > pair[1]), "the clip has no B pictures");
        }
    }
}

#[test]
fn vp9_with_hidden_pictures() {
    if ffmpeg_is_there() {
        let options = [
            "-c:v",
            "libvpx-vp9",
            "-b:v",
            "300k",
            "-auto-alt-ref",
            "1",
            "-lag-in-frames",
            "16",
            "-deadline",
            "good",
            "-cpu-used",
            "5",
        ];
        let clip = same_as_ffmpeg(DecoderCodec::Vp9, "320x192", "ivf", &options);
        assert!(clip.places.contains(&None), "the clip has no hidden pictures");
    }
}

#[test]
fn mpeg2_with_b_pictures() {
    if ffmpeg_is_there() {
        let options = ["-c:v", "mpeg2video", "-bf", "2", "-b:v", "2M"];
        let clip = same_as_ffmpeg(DecoderCodec::Mpeg2, "328x184", "mpeg2video", &options);
        assert!(clip.places.windows(2).any(|pair| pair[0] > pair[1]), "the clip has no B pictures");
    }
}

#[test]
fn damage_is_noticed_and_the_next_key_picture_is_whole() {
    if !ffmpeg_is_there() {
        return;
    }
    let cases: [(DecoderCodec, &str, &[&str]); 3] = [
        (
            DecoderCodec::H264,
            "h264",
            &["-c:v", "libx264", "-bf", "0", "-x264-params", "aud=1:keyint=10:scenecut=0"],
        ),
        (
            DecoderCodec::Hevc,
            "hevc",
            &["-c:v", "libx265", "-x265-params", "aud=1:keyint=10:bframes=0:log-level=error:pools=1"],
        ),
        (DecoderCodec::Mpeg2, "mpeg2video", &["-c:v", "mpeg2video", "-b:v", "2M", "-g", "10"]),
    ];
    for (codec, format, options) in cases {
        let directory = tempfile::tempdir().unwrap();
        let mut clip = cut(&encode(directory.path(), "320x192", 20, options), format);
        let picture = &mut clip.pictures[5];
        // HEVC slice data has so little structure that garbage in it decodes; its slice header does not.
        let from = if codec == DecoderCodec::Hevc { 12 } else { picture.len() / 2 };
        picture[from..].iter_mut().for_each(|byte| *byte ^= 0xa5);
        let mut decoder = SoftDecoder::open(codec, &[]).unwrap();
        let decoded: Vec<_> = clip.pictures.iter().map(|data| decoder.decode(data).unwrap()).collect();
        let damaged: Vec<_> = decoded.iter().map(|decoded| decoded.damaged).collect();
        assert!(damaged[5], "{codec:?}: {damaged:?}");
        assert_eq!(damaged.iter().filter(|damaged| **damaged).count(), 1, "{codec:?}: {damaged:?}");
        let last = decoded[19].picture.as_ref().unwrap();
        assert_eq!(shown(last), clip.expected[19], "{codec:?}");
    }
}

#[test]
fn garbage_of_every_codec_is_refused_without_a_picture() {
    use DecoderCodec::*;
    let mut seed = 1u32;
    let garbage: Vec<u8> = (0..20_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    for codec in [Mpeg1, Mpeg2, Mpeg4, Vc1, H264, Jpeg, Hevc, Vp8, Vp9, Av1] {
        let mut decoder = match SoftDecoder::open(codec, &[]) {
            Ok(decoder) => decoder,
            // VC-1 cannot be opened without its sequence header.
            Err(error) => {
                assert_eq!(codec, Vc1, "{error}");
                continue;
            }
        };
        for size in [0, 1, 2, 3, 4, 7, 100, 20_000] {
            let decoded = decoder.decode(&garbage[..size]).unwrap();
            assert!(decoded.picture.is_none() || decoded.damaged, "{codec:?} {size}");
        }
    }
}
