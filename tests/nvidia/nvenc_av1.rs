//! AV1 by NVENC on the simulated driver (`sims/nvidia/`), which codes it with libaom: pictures, key frames, metadata.

use std::path::Path;
use std::process::Command;

use video_hw::backend::{BackendKind, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::config::{
    BackendEncodeConfig, CommonEncodeConfig, IntraRefresh, NvidiaEncodeConfig, Profile, RateControl,
};
use video_hw::error::Error;
use video_hw::frame::UserSei;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};

use crate::support::nvenc::{
    HEIGHT, WIDTH, all_well, check_pictures, check_times, config, encode, ffprobe, frame, have_ffmpeg,
    nvidia, open, planar,
};
use crate::support::nvidia::clean_on;

/// A file that ffmpeg reads: IVF, written here.
fn write(directory: &Path, packets: &[Packet]) -> std::path::PathBuf {
    let mut bytes = b"DKIF\0\0\x20\0AV01".to_vec();
    bytes.extend((WIDTH as u16).to_le_bytes());
    bytes.extend((HEIGHT as u16).to_le_bytes());
    bytes.extend([25, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (number, packet) in packets.iter().enumerate() {
        bytes.extend((packet.data.len() as u32).to_le_bytes());
        bytes.extend((number as u64).to_le_bytes());
        bytes.extend_from_slice(&packet.data);
    }
    let file = directory.join("out.ivf");
    std::fs::write(&file, bytes).unwrap();
    file
}

fn tool(name: &str, file: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(name);
    command.env_remove("LD_LIBRARY_PATH").env_remove("NVSIM_REPORT").args(["-v", "error"]);
    if name == "ffmpeg" {
        command.arg("-i");
    }
    let output = command.arg(file).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout
}

fn decoded(file: &Path) -> Vec<Vec<u8>> {
    let raw = tool("ffmpeg", file, &["-vsync", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
    raw.chunks(WIDTH * HEIGHT * 3 / 2).map(<[u8]>::to_vec).collect()
}

/// Kinds of the units of a packet.
fn kinds(packet: &Packet) -> Vec<u8> {
    let (mut kinds, mut rest) = (Vec::new(), &packet.data[..]);
    while let [header, behind @ ..] = rest {
        assert_eq!(header & 2, 2, "a unit without a size");
        let mut behind = &behind[usize::from(header >> 2 & 1)..];
        let (mut size, mut shift) = (0, 0);
        while let [byte, further @ ..] = behind {
            size |= usize::from(byte & 127) << shift;
            (behind, shift) = (further, shift + 7);
            if byte & 128 == 0 {
                break;
            }
        }
        kinds.push(header >> 3 & 15);
        rest = &behind[size..];
    }
    kinds
}

fn av1(format: PixelFormat) -> CommonEncodeConfig {
    config(Codec::Av1).format(format).rate_control(RateControl::ConstQp {
        intra: 60,
        inter_p: 60,
        inter_b: 60,
    })
}

#[test]
fn pictures_come_through_in_every_version_that_has_it() {
    for version in ["12.0", "12.1", "12.2", "13.0"] {
        let settings = format!("driver.nvenc={version}");
        clean_on("ada", "pictures_come_through_in_every_version_that_has_it", &settings, || {
            for (format, said) in [
                (PixelFormat::Nv12, "Main,yuv420p"),
                (PixelFormat::I420, "Main,yuv420p"),
                (PixelFormat::P010, "Main,yuv420p10le"),
            ] {
                let config = av1(format).gop_length(8);
                let mut session = open(&config, &nvidia(4));
                let picture = |number| {
                    let mut frame = frame(number, format);
                    frame.force_keyframe = number == 13;
                    frame
                };
                let packets = all_well(encode(&mut session, (0..20).map(picture)));
                check_times(&packets, 0..20);
                let keys: Vec<_> = (0..20).filter(|n| packets[*n].keyframe).collect();
                assert_eq!(keys, [0, 8, 13]);
                for packet in &packets {
                    assert_eq!(packet.layout, BitstreamLayout::Obu);
                    // A delimiter first; a sequence header with each key frame.
                    assert_eq!(kinds(packet)[0], 2);
                    assert_eq!(kinds(packet).contains(&1), packet.keyframe);
                }
                if have_ffmpeg() {
                    let directory = tempfile::tempdir().unwrap();
                    let file = write(directory.path(), &packets);
                    assert_eq!(ffprobe(&file, "stream=profile,pix_fmt"), [said]);
                    check_pictures(&decoded(&file), 0..20, planar);
                }
            }
        });
    }
}

#[test]
fn rates_colour_and_tools_are_taken() {
    clean_on("blackwell", "rates_colour_and_tools_are_taken", "", || {
        let color = ColorInfo {
            matrix: MatrixCoefficients::Bt2020Ncl,
            primaries: ColorPrimaries::Bt2020,
            transfer: TransferCharacteristics::Pq,
            range: Some(ColorRange::Limited),
        };
        let rates = [
            None,
            Some(RateControl::Cbr { bitrate_bps: 3_000_000 }),
            Some(RateControl::Vbr { avg_bps: 3_000_000, max_bps: Some(4_000_000) }),
            Some(RateControl::Quality { quality: 20, max_bps: None }),
        ];
        for rate_control in rates {
            let config = av1(PixelFormat::P010).rate_control(rate_control).color(color);
            let own = NvidiaEncodeConfig::default().tuning(Some("uhq".into())).lookahead(6).temporal_aq(true);
            let mut session = open(&config, &BackendEncodeConfig::Nvidia(own));
            let packets = all_well(encode(&mut session, (0..10).map(|n| frame(n, PixelFormat::P010))));
            check_times(&packets, 0..10);
            if have_ffmpeg() {
                let directory = tempfile::tempdir().unwrap();
                let file = write(directory.path(), &packets);
                // How good they look is the software encoder's business.
                assert_eq!(decoded(&file).len(), 10);
                let said = ffprobe(&file, "stream=color_range,color_space,color_transfer,color_primaries");
                assert_eq!(said, ["tv,bt2020nc,smpte2084,bt2020"]);
            }
        }
        let refresh = NvidiaEncodeConfig::default().intra_refresh(IntraRefresh { period: 20, frames: 10 });
        let mut session = open(&av1(PixelFormat::I420), &BackendEncodeConfig::Nvidia(refresh));
        let packets = all_well(encode(&mut session, (0..10).map(|n| frame(n, PixelFormat::I420))));
        assert_eq!(packets.iter().filter(|packet| packet.keyframe).count(), 1);
    });
}

#[test]
fn hdr10_is_metadata_of_the_stream() {
    for version in ["12.0", "13.0"] {
        clean_on("ada", "hdr10_is_metadata_of_the_stream", &format!("driver.nvenc={version}"), || {
            let config = av1(PixelFormat::P010)
                .mastering_display(
                    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().ok(),
                )
                .content_light("1000,400".parse().ok())
                .gop_length(4)
                .profile(Profile::Main);
            let mut session = open(&config, &nvidia(4));
            let packets = all_well(encode(&mut session, (0..8).map(|n| frame(n, PixelFormat::P010))));
            for packet in &packets {
                let metadata = kinds(packet).into_iter().filter(|kind| *kind == 5).count();
                assert_eq!(metadata, if packet.keyframe { 2 } else { 0 });
            }
            if have_ffmpeg() {
                let directory = tempfile::tempdir().unwrap();
                let file = write(directory.path(), &packets);
                let said = tool("ffprobe", &file, &["-show_frames", "-select_streams", "v:0"]);
                let said = String::from_utf8(said).unwrap();
                let first = said.split("[/FRAME]").next().unwrap();
                for word in [
                    "Mastering display metadata",
                    // 0.68 and 0.005 in AV1's fractions.
                    "red_x=44564/65536",
                    "min_luminance=82/16384",
                    "max_luminance=256000/256",
                    "Content light level metadata",
                    "max_content=1000",
                    "max_average=400",
                ] {
                    assert!(first.contains(word), "no {word:?} in {first}");
                }
            }
        });
    }
}

fn refused(chip: &str, test: &str, settings: &str, change: impl Fn(&mut CommonEncodeConfig), words: &[&str]) {
    clean_on(chip, test, settings, || {
        let mut config = av1(PixelFormat::I420);
        change(&mut config);
        match EncodeSession::with_special(BackendKind::Nvidia, config, &nvidia(4)).err() {
            Some(error @ Error::Unsupported { .. }) => {
                for word in words {
                    assert!(error.to_string().contains(word), "{word:?}: {error}");
                }
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn older_drivers_have_none() {
    let words = ["encoding av1 on this GPU"];
    refused("ada", "older_drivers_have_none", "driver.nvenc=11.1", |_| {}, &words);
}

#[test]
fn older_chips_have_none() {
    refused("turing", "older_chips_have_none", "", |_| {}, &["encoding av1 on this GPU"]);
}

#[test]
fn b_frames_are_refused() {
    let words = ["b_frames 1", "B frames of av1 are not used"];
    refused("ada", "b_frames_are_refused", "", |c| c.b_frames = Some(1), &words);
}

#[test]
fn user_sei_is_refused_by_name() {
    clean_on("ada", "user_sei_is_refused_by_name", "", || {
        assert_eq!(
            query_backend_capability(BackendKind::Nvidia, Codec::Av1).unwrap().encode.unwrap().max_b_frames,
            0
        );
        let mut session = open(&av1(PixelFormat::I420), &nvidia(4));
        assert!(matches!(session.submit(frame(0, PixelFormat::I420)), Ok(Submit::Accepted)));
        let mut with = frame(1, PixelFormat::I420);
        with.user_sei.push(UserSei::new(5, vec![1; 20]));
        let said = session.submit(with).unwrap_err().to_string();
        assert!(said.contains("user SEI messages with av1"), "{said}");
        // The frame is the caller's again, and the session goes on.
        let packets = all_well(encode(&mut session, (1..4).map(|number| frame(number, PixelFormat::I420))));
        check_times(&packets, 0..4);
    });
}
