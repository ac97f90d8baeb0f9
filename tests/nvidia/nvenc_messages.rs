//! Messages beside pictures, on the simulated driver (`sims/nvidia/`): HDR10 with each IDR picture, and user SEI with the
//! frame that it was given with.

use std::path::Path;
use std::process::Command;

use video_hw::codec::Codec;
use video_hw::config::CommonEncodeConfig;
use video_hw::error::Error;
use video_hw::frame::{Frame, UserSei};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;

use crate::support::nvenc::{
    all_well, check_pictures, check_times, config, decoded, encode, frame, have_ffmpeg, nvidia, open, planar,
    pts,
};
use crate::support::nvidia::clean_on;

const UUID: [u8; 16] = *b"video-hw messag\xe5";

fn write(directory: &Path, codec: Codec, packets: &[Packet]) -> std::path::PathBuf {
    let file = directory.join(if codec == Codec::H264 { "out.h264" } else { "out.h265" });
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    std::fs::write(&file, bytes).unwrap();
    file
}

/// What ffprobe says of each frame, in display order.
fn frames(file: &Path) -> Vec<String> {
    let output = Command::new("ffprobe")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("NVSIM_REPORT")
        .args(["-v", "error", "-select_streams", "v:0", "-show_frames"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.split("[FRAME]").skip(1).map(str::to_owned).collect()
}

/// Payload and type of the messages in an access unit.
fn messages(codec: Codec, unit: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut starts: Vec<usize> =
        unit.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3).collect();
    starts.push(unit.len() + 3);
    let mut found = Vec::new();
    for pair in starts.windows(2) {
        let nal = &unit[pair[0]..(pair[1] - 3).min(unit.len())];
        let (is_sei, header) = match codec {
            Codec::H264 => (nal[0] & 31 == 6, 1),
            _ => (nal[0] >> 1 & 63 == 39, 2),
        };
        if !is_sei {
            continue;
        }
        let mut plain = Vec::new();
        for (at, byte) in nal.iter().enumerate().skip(header) {
            let prevention = *byte == 3 && at >= 2 && nal[at - 2..at] == [0, 0];
            plain.extend((!prevention).then_some(*byte));
        }
        let mut rest = plain.as_slice();
        while rest.len() > 2 {
            let mut number = || {
                let ff = rest.iter().take_while(|byte| **byte == 255).count();
                let value = ff * 255 + usize::from(rest[ff]);
                rest = &rest[ff + 1..];
                value
            };
            let (kind, size) = (number(), number());
            found.push((kind as u32, rest[..size].to_vec()));
            rest = &rest[size..];
        }
    }
    found
}

fn with_message(number: usize) -> Frame {
    let mut frame = frame(number, PixelFormat::I420);
    // Zeros and ones as start codes have them.
    let data = [0, 0, 1, 0, 0, 0, number as u8, 0, 0, 3];
    frame.user_sei.push(UserSei::unregistered(UUID, &data));
    if number == 5 {
        frame.user_sei.push(UserSei::new(4, vec![0xb5; 300]));
    }
    frame
}

#[test]
fn user_messages_stay_with_their_frame() {
    for version in ["11.1", "12.0", "12.1", "12.2", "13.0"] {
        clean_on("ada", "user_messages_stay_with_their_frame", &format!("driver.nvenc={version}"), || {
            for codec in [Codec::H264, Codec::Hevc] {
                let config = config(codec).b_frames(3).gop_length(10);
                let mut session = open(&config, &nvidia(6));
                let packets = all_well(encode(&mut session, (0..24).map(with_message)));
                check_times(&packets, 0..24);
                for packet in &packets {
                    let number = (0..24).find(|n| Some(pts(*n)) == packet.pts).unwrap();
                    let found = messages(codec, &packet.data);
                    let wanted: Vec<_> = with_message(number)
                        .user_sei
                        .iter()
                        .map(|message| (message.payload_type, message.payload.to_vec()))
                        .collect();
                    assert_eq!(found, wanted, "frame {number} of {codec}");
                }
                if have_ffmpeg() {
                    check_pictures(&decoded(codec, &packets), 0..24, planar);
                    let directory = tempfile::tempdir().unwrap();
                    let said = frames(&write(directory.path(), codec, &packets));
                    let seen = said.iter().filter(|frame| frame.contains("User Data Unregistered")).count();
                    assert_eq!(seen, 24, "{codec}");
                }
            }
        });
    }
}

fn hdr(codec: Codec) -> CommonEncodeConfig {
    config(codec)
        .mastering_display(
            "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().ok(),
        )
        .content_light("1000,400".parse().ok())
        .format(if codec == Codec::Hevc { PixelFormat::P010 } else { PixelFormat::I420 })
}

/// The GOP's IDR pictures, those asked for, and the one behind a flush all have the metadata, and no other picture.
#[test]
fn hdr10_goes_with_each_idr() {
    for version in ["11.1", "12.0", "12.1", "12.2", "13.0"] {
        clean_on("ada", "hdr10_goes_with_each_idr", &format!("driver.nvenc={version}"), || {
            for (codec, b_frames) in [(Codec::Hevc, 2), (Codec::H264, 0), (Codec::Hevc, 0), (Codec::H264, 3)]
            {
                let config = hdr(codec).b_frames(b_frames).gop_length(8);
                let mut session = open(&config, &nvidia(6));
                let picture = |number| {
                    let mut frame = frame(number, config.format);
                    frame.force_keyframe = number == 13;
                    frame
                };
                let mut packets = all_well(encode(&mut session, (0..22).map(picture)));
                packets.extend(all_well(encode(&mut session, (22..25).map(picture))));
                check_times(&packets, 0..25);
                let mut idr = Vec::new();
                for packet in &packets {
                    let found = messages(codec, &packet.data);
                    let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
                    if packet.keyframe {
                        idr.push((0..25).find(|n| Some(pts(*n)) == packet.pts).unwrap());
                        assert_eq!(kinds, [137, 144]);
                        assert_eq!(found[1].1, [0x03, 0xe8, 0x01, 0x90]);
                    } else {
                        assert!(kinds.is_empty(), "{kinds:?}");
                    }
                }
                assert_eq!(idr, [0, 8, 13, 21, 22], "{codec} with {b_frames} B frames");
                if have_ffmpeg() {
                    check_pictures(&decoded(codec, &packets), 0..25, planar);
                }
                if have_ffmpeg() && codec == Codec::Hevc {
                    let directory = tempfile::tempdir().unwrap();
                    let said = frames(&write(directory.path(), codec, &packets));
                    let has = |frame: &&String| {
                        frame.contains("Mastering display metadata")
                            && frame.contains("Content light level metadata")
                            && frame.contains("max_content=1000")
                            && frame.contains("max_average=400")
                            && frame.contains("red_x=34000/50000")
                            && frame.contains("green_y=34500/50000")
                            && frame.contains("max_luminance=10000000/10000")
                    };
                    let keys: Vec<_> = said.iter().filter(|frame| frame.contains("key_frame=1")).collect();
                    assert_eq!(
                        (keys.len(), keys.into_iter().filter(|frame| has(frame)).count()),
                        (5, 5),
                        "{said:?}"
                    );
                }
            }
        });
    }
}

#[test]
fn without_an_end_of_the_gop_there_is_one_idr() {
    clean_on("ada", "without_an_end_of_the_gop_there_is_one_idr", "", || {
        let config = hdr(Codec::H264).low_latency(true);
        let packets =
            all_well(encode(&mut open(&config, &nvidia(6)), (0..300).map(|n| frame(n, PixelFormat::I420))));
        let with = packets.iter().filter(|packet| !messages(Codec::H264, &packet.data).is_empty()).count();
        assert_eq!((with, packets.iter().filter(|packet| packet.keyframe).count()), (1, 1));
    });
}

#[test]
fn too_many_messages_are_refused_at_the_door_and_the_session_lives() {
    clean_on("ada", "too_many_messages_are_refused_at_the_door_and_the_session_lives", "", || {
        let mut session: EncodeSession = open(&config(Codec::H264), &nvidia(6));
        for messages in [vec![UserSei::new(5, vec![7; 65_537])], vec![UserSei::new(5, vec![7; 16]); 65]] {
            let mut frame = frame(0, PixelFormat::I420);
            frame.user_sei = messages;
            match session.submit(frame).err() {
                Some(Error::InvalidInput { what, .. }) => {
                    assert!(what.contains("at most 64 of 65536 bytes"), "{what}");
                }
                other => panic!("{other:?}"),
            }
        }
        // As much as is taken.
        let mut large = frame(0, PixelFormat::I420);
        large.user_sei = vec![UserSei::new(5, vec![0; 65_536])];
        let packets = all_well(encode(&mut session, [large, frame(1, PixelFormat::I420)]));
        assert_eq!(messages(Codec::H264, &packets[0].data)[0].1.len(), 65_536);
    });
}
