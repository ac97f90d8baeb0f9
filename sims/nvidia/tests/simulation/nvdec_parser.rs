//! The parser against streams of ffmpeg's encoders: every picture decoded and shown once, in order, on time, whatever
//! the chunking; surfaces never in two uses; the rules for clients.

use crate::common::scenario;
use crate::parser_client::{Api, Client, Packet, Shared, empty_packet, parameters};
use crate::parser_clips::{Clip, clip};
use nvsim::nvdec::abi::*;

const TESTED: [u32; 3] = [0, 1, 4];

/// Plays a clip in every way and compares it with what ffprobe says of it.
#[track_caller]
fn check(clip: &Clip, codec: u32) {
    let expected = clip.times();
    let mut whole: Option<Vec<usize>> = None;
    for delay in TESTED {
        for flags in [0, packet_flags::ENDOFPICTURE] {
            let mut client = Client::new(codec, delay);
            client.play(&clip.packets, flags);
            let log = client.close();
            let way = format!("{} delay {delay} flags {flags}", clip.name);
            assert_eq!(log.times(), expected, "{way}");
            assert_eq!(log.formats.len(), 1, "{way}");
            assert!(log.reused.is_empty(), "{way}: {:?}", log.reused);
            assert_eq!(log.pictures, clip.coded, "{way}");
            let order = log.order();
            assert_eq!(whole.get_or_insert_with(|| order.clone()), &order, "{way}");
            // No picture is held back for longer than it has to be: see the tests of each delay.
            assert!(log.decoded_at_display.is_sorted(), "{way}");
        }
    }
    if !matches!(codec, codec::H264 | codec::HEVC | codec::MPEG2) {
        return;
    }
    let bytes: Vec<u8> = clip.packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    for size in [1, 3, 4096, bytes.len()] {
        let mut client = Client::new(codec, 0);
        client.play_chunks(&bytes, size);
        let log = client.close();
        assert_eq!(Some(log.order()), whole, "{} in chunks of {size}", clip.name);
        assert!(
            log.times().is_sorted_by(|a, b| a < b),
            "{} in chunks of {size}: {:?}",
            clip.name,
            log.times()
        );
    }
}

/// One test for each kind of stream.
macro_rules! streams {
    ($($test:ident: $codec:ident, $format:literal, $arguments:expr;)*) => { $(
        #[test]
        fn $test() {
            let Some(clip) = clip(stringify!($test), $format, $arguments) else { return };
            let outcome = scenario(stringify!($test), &[], || check(&clip, codec::$codec)).clean();
            let figures = &outcome.report["sections"]["nvdec"]["parser"];
            assert_eq!(figures["pictures_without_a_free_surface"], 0, "the surfaces asked for are enough");
        }
    )* };
}

streams! {
    h264_without_b: H264, "mpegts", "libx264 -bf 0 -g 12";
    h264_one_b: H264, "mpegts", "libx264 -bf 1 -g 12";
    h264_three_b: H264, "mpegts", "libx264 -bf 3 -b_strategy 0 -g 20";
    h264_pyramid: H264, "mpegts", "libx264 -bf 3 -b_strategy 0 -x264-params b-pyramid=normal:keyint=20";
    h264_strict_pyramid: H264, "mpegts", "libx264 -bf 3 -b_strategy 0 -x264-params b-pyramid=strict:keyint=30:ref=4";
    h264_many_references: H264, "mpegts", "libx264 -bf 2 -refs 8 -g 100";
    h264_slices: H264, "mpegts", "libx264 -bf 2 -x264-params slices=4:keyint=12:aud=1";
    h264_open_gop: H264, "mpegts", "libx264 -bf 3 -b_strategy 0 -x264-params open-gop=1:keyint=10";
    h264_interlaced: H264, "mpegts", "libx264 -bf 2 -flags +ildct+ilme -x264-params tff=1:keyint=12";
    h264_zero_latency: H264, "mpegts", "libx264 -tune zerolatency -g 12";
    h264_intra_refresh: H264, "mpegts", "libx264 -bf 0 -x264-params intra-refresh=1:keyint=15";
    hevc_without_b: HEVC, "mpegts", "libx265 -x265-params log-level=error:bframes=0:keyint=12";
    hevc_b: HEVC, "mpegts", "libx265 -x265-params log-level=error:bframes=4:b-adapt=0:b-pyramid=0:keyint=20";
    hevc_pyramid: HEVC, "mpegts", "libx265 -x265-params log-level=error:bframes=4:b-adapt=0:b-pyramid=1:keyint=20:ref=4";
    hevc_open_gop: HEVC, "mpegts", "libx265 -x265-params log-level=error:bframes=3:b-adapt=0:open-gop=1:keyint=10:min-keyint=10";
    hevc_slices: HEVC, "mpegts", "libx265 -x265-params log-level=error:bframes=3:slices=2:keyint=10:repeat-headers=1:aud=1";
    mpeg2: MPEG2, "mpegts", "mpeg2video -bf 2 -g 12";
    mpeg2_without_b: MPEG2, "mpegts", "mpeg2video -bf 0 -g 12";
    mpeg2_interlaced: MPEG2, "mpegts", "mpeg2video -bf 2 -g 12 -flags +ildct+ilme -top 1";
    mpeg4: MPEG4, "mpegts", "mpeg4 -bf 2 -g 12";
    vp8: VP8, "matroska", "libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 8 -b:v 300k";
    vp9: VP9, "matroska", "libvpx-vp9 -deadline good -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 -b:v 200k";
    av1: AV1, "matroska", "libaom-av1 -cpu-used 8 -usage realtime -b:v 200k";
    mjpeg: JPEG, "nut", "mjpeg -q:v 5";
}

#[test]
fn the_format_says_what_the_stream_is() {
    let Some(clip) = clip(
        "format",
        "mpegts",
        "libx264 -bf 0 -g 12 -s 1920x1080 -aspect 16:9 -preset ultrafast -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range pc",
    ) else {
        return;
    };
    scenario("the_format_says_what_the_stream_is", &[], || {
        let mut client = Client::new(codec::H264, 0);
        client.play(&clip.packets, 0);
        let log = client.close();
        let format = log.formats[0];
        assert_eq!((format.coded_width, format.coded_height), (1920, 1088));
        assert_eq!(format.display_area, IntRect { left: 0, top: 0, right: 1920, bottom: 1080 });
        assert_eq!(format.frame_rate, FrameRate { numerator: 25, denominator: 1 });
        assert_eq!(format.display_aspect_ratio, AspectRatio { x: 16, y: 9 });
        assert_eq!(format.progressive_sequence, 1);
        assert_eq!(format.chroma_format, chroma_format::YUV420);
        let signal = format.video_signal_description;
        assert_eq!(signal.format_and_range >> 3, 1, "full range");
        assert_eq!(
            (signal.color_primaries, signal.transfer_characteristics, signal.matrix_coefficients),
            (1, 1, 1)
        );
        assert_eq!(format.seqhdr_data_length, 0, "the real driver gives no length");
        assert!(log.sei > 0, "x264 writes an SEI message");
    })
    .clean();
}

#[test]
fn a_picture_ends_with_its_packet_where_the_packet_says_so() {
    let Some(clip) = clip("end_of_picture", "mpegts", "libx264 -tune zerolatency -g 12") else { return };
    scenario("a_picture_ends_with_its_packet_where_the_packet_says_so", &[], || {
        let mut client = Client::new(codec::H264, 0);
        for (index, packet) in clip.packets.iter().enumerate() {
            client.send(&packet.data, packet_flags::ENDOFPICTURE, 0);
            assert_eq!(client.log.decodes.len(), index + 1, "decoded within its call");
            assert_eq!(client.log.displays.len(), index + 1, "and shown: the stream has no reordering");
        }
        client.close();
        // Without the flag the end of a picture is known by the next one.
        let mut client = Client::new(codec::H264, 0);
        for (index, packet) in clip.packets.iter().enumerate() {
            client.send(&packet.data, 0, 0);
            assert_eq!(client.log.decodes.len(), index);
        }
        client.send(&[], packet_flags::ENDOFSTREAM, 0);
        assert_eq!(client.log.decodes.len(), clip.packets.len());
        client.close();
        // More than one picture in such a packet: the rest is dropped. The second one is a key picture without what
        // comes before its slice: large enough to be noticed before its end.
        let mut client = Client::new(codec::H264, 0);
        let key = &clip.packets[12].data;
        let slice = key.windows(4).position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 31 == 5).unwrap();
        assert!(key.len() - slice > 256);
        let two = [&clip.packets[0].data[..], &key[slice..]].concat();
        client.send(&two, packet_flags::ENDOFPICTURE, 0);
        client.send(&[], packet_flags::ENDOFSTREAM, 0);
        assert_eq!(client.log.decodes.len(), 1);
        client.close();
    })
    .clean();
}

#[test]
fn the_display_delay_holds_pictures_back() {
    let Some(clip) = clip("display_delay", "mpegts", "libx264 -tune zerolatency -g 12") else { return };
    scenario("the_display_delay_holds_pictures_back", &[], || {
        for delay in [0, 1, 4] {
            let mut client = Client::new(codec::H264, delay);
            client.play(&clip.packets, packet_flags::ENDOFPICTURE);
            let log = client.close();
            let count = clip.packets.len();
            for (index, decoded) in log.decoded_at_display.iter().enumerate() {
                assert_eq!(
                    *decoded,
                    // By then the decoder has surely finished.
                    (index + 1 + (delay as usize).min(3)).min(count),
                    "delay {delay}, picture {index}"
                );
            }
        }
    })
    .clean();
}

#[test]
fn ends_and_discontinuities() {
    let Some(clip) = clip("ends", "mpegts", "libx264 -bf 3 -b_strategy 0 -g 10") else { return };
    scenario("ends_and_discontinuities", &[], || {
        let mut client = Client::new(codec::H264, 4);
        client.play(&clip.packets, 0);
        let shown = client.log.displays.len();
        assert_eq!(shown, clip.packets.len());
        // A stream may go on after its end.
        client.play(&clip.packets, 0);
        assert_eq!(client.log.displays.len(), 2 * shown);
        // After a discontinuity what waited is shown, and decoding goes on with the references that are there.
        for packet in &clip.packets[..6] {
            client.send(&packet.data, 0, 0);
        }
        client.send(&clip.packets[3].data, packet_flags::DISCONTINUITY, 0);
        let before = client.log.pictures;
        assert_eq!(client.log.displays.len(), before);
        client.send(&clip.packets[4].data, 0, 0);
        client.send(&clip.packets[5].data, 0, 0);
        client.send(&[], packet_flags::DISCONTINUITY, 0);
        assert_eq!(client.log.pictures, before + 3);
        assert_eq!(client.log.displays.len(), client.log.pictures);
        assert_eq!(client.log.formats.len(), 3, "the same sequence is announced once after each end");
        // In a packet that is to hold one picture, that picture is taken for the one that was cut off, and lost.
        let one = packet_flags::DISCONTINUITY | packet_flags::ENDOFPICTURE;
        client.send(&clip.packets[3].data, one, 0);
        assert_eq!(client.log.pictures, before + 3);
        client.play(&clip.packets, 0);
        assert_eq!(client.log.pictures, before + 3 + shown);
        assert_eq!(client.log.formats.len(), 3);
        // Parameter sets do not outlive the end of a stream.
        client.play(&clip.packets[1..8], 0);
        assert_eq!(client.log.pictures, before + 3 + shown);
        assert_eq!(client.log.ends, 0);
        client.send(&[], packet_flags::ENDOFSTREAM | packet_flags::NOTIFY_EOS, 0);
        assert_eq!(client.log.ends, 1);
        client.close();
    })
    .clean();
}

#[test]
fn a_new_size_is_a_new_sequence() {
    let (Some(small), Some(large)) = (
        clip("small", "mpegts", "libx264 -bf 2 -g 12"),
        clip("large", "mpegts", "libx264 -bf 2 -g 12 -s 320x240"),
    ) else {
        return;
    };
    scenario("a_new_size_is_a_new_sequence", &[], || {
        let mut client = Client::new(codec::H264, 0);
        let both: Vec<Packet> = small.packets.iter().chain(&large.packets).cloned().collect();
        client.play(&both, 0);
        let log = client.close();
        let sizes: Vec<_> =
            log.formats.iter().map(|format| (format.coded_width, format.coded_height)).collect();
        assert_eq!(sizes, [(192, 144), (320, 240)]);
        assert_eq!(log.displays.len(), both.len());
        assert!(log.reused.is_empty(), "{:?}", log.reused);
    })
    .clean();
}

#[test]
fn a_sequence_header_from_the_container_comes_first() {
    let Some(clip) = clip("extradata", "mpegts", "libx264 -bf 0 -g 100") else {
        return;
    };
    scenario("a_sequence_header_from_the_container_comes_first", &[], || {
        // Take the parameter sets off the first packet and give them at creation.
        let first = &clip.packets[0].data;
        let idr = first.windows(5).position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 31 == 5).unwrap();
        let mut extended = CUVIDEOFORMATEX::zeroed();
        extended.format.seqhdr_data_length = idr as u32;
        extended.data.raw_seqhdr_data[..idr].copy_from_slice(&first[..idr]);
        let mut client = Client::with(codec::H264, 0, |parameters| parameters.pExtVideoInfo = &mut extended);
        assert!(client.log.formats.is_empty(), "no callback at creation");
        let mut packets = clip.packets.clone();
        packets[0].data.drain(..idr);
        client.play(&packets, 0);
        assert_eq!(client.close().displays.len(), clip.packets.len());
    })
    .clean();
}

#[test]
fn what_callbacks_refuse() {
    let Some(clip) = clip("refusal", "mpegts", "libx264 -bf 0 -g 12") else { return };
    scenario("what_callbacks_refuse", &[], || {
        let mut client = Client::new(codec::H264, 0);
        client.log.refuse_decode_at = Some(3);
        let results: Vec<_> = clip.packets[..5]
            .iter()
            .map(|packet| client.send(&packet.data, packet_flags::ENDOFPICTURE, 0))
            .collect();
        assert_eq!(results, [0; 5], "nothing is said of it");
        assert_eq!(client.close().order(), [0, 1, 3, 4], "a picture not decoded is not shown");
        let mut client = Client::new(codec::H264, 0);
        client.log.answer = Some(0);
        client.play(&clip.packets, packet_flags::ENDOFPICTURE);
        client.log.answer = None;
        client.play(&clip.packets, packet_flags::ENDOFPICTURE);
        let log = client.close();
        assert_eq!((log.formats.len(), log.pictures), (1, 0), "a parser whose sequence was refused is dead");
    })
    .clean();
}

#[test]
fn too_few_surfaces() {
    let Some(clip) = clip("few", "mpegts", "libx264 -bf 3 -refs 4 -g 30") else { return };
    scenario("too_few_surfaces", &[], || {
        let mut client = Client::new(codec::H264, 0);
        client.log.answer = Some(2);
        client.play(&clip.packets, 0);
        assert_eq!(client.close().pictures, clip.packets.len());
    })
    .breach("parser-few-surfaces");
}

#[test]
fn dead_handles() {
    scenario("dead_handles", &[], || {
        let client = Client::new(codec::H264, 0);
        let (api, handle) = (client.api, client.handle);
        client.close();
        assert_eq!(api.parse(handle, Some(&mut empty_packet())), 400);
    })
    .breach("parser-dead-handle");
}

#[test]
fn double_destroy() {
    scenario("double_destroy", &[], || {
        let client = Client::new(codec::HEVC, 0);
        let (api, handle) = (client.api, client.handle);
        client.close();
        assert_eq!(api.destroy(handle), 400);
    })
    .breach("parser-double-destroy");
}

#[test]
fn bad_creation() {
    let outcome = scenario("bad_creation", &[], || {
        let api = Api::load();
        let log = Shared::new();
        let create = |change: &dyn Fn(&mut CUVIDPARSERPARAMS)| {
            let mut parameters = parameters(codec::H264, 0, &log);
            change(&mut parameters);
            match api.create(Some(&mut parameters)) {
                Ok(handle) => api.destroy(handle),
                Err(error) => error,
            }
        };
        // The real driver does not look at these two.
        assert_eq!(create(&|parameters| parameters.pfnDecodePicture = None), 0);
        assert_eq!(create(&|parameters| parameters.ulMaxNumDecodeSurfaces = 0), 0);
        assert_eq!(create(&|parameters| parameters.CodecType = 64), 300);
        assert!(api.create(None).is_err());
    });
    outcome.breach("parser-missing-callback").breach("parser-bad-parameters");
}

#[test]
fn bad_packets() {
    scenario("bad_packets", &[], || {
        let client = Client::new(codec::H264, 0);
        assert_eq!(client.api.parse(client.handle, None), 1);
        let mut packet = CUVIDSOURCEDATAPACKET { payload_size: 9, ..empty_packet() };
        assert_eq!(client.api.parse(client.handle, Some(&mut packet)), 1);
        client.close();
    })
    .breach("parser-bad-packet");
}

#[test]
fn parsing_inside_a_callback() {
    let Some(clip) = clip("reentrance", "mpegts", "libx264 -bf 0 -g 12") else { return };
    scenario("parsing_inside_a_callback", &[], || {
        let mut client = Client::new(codec::H264, 0);
        let (api, handle) = (client.api, client.handle as usize);
        client.log.inside = Some(Box::new(move || {
            assert_ne!(api.parse(handle as CUvideoparser, Some(&mut empty_packet())), 0);
        }));
        client.play(&clip.packets, 0);
        client.close();
    })
    .breach("parser-reentrance");
}

#[test]
fn two_threads_at_once() {
    let Some(clip) = clip("threads", "mpegts", "libx264 -bf 0 -g 12") else { return };
    scenario("two_threads_at_once", &[], || {
        let mut client = Client::new(codec::H264, 0);
        let (api, handle) = (client.api, client.handle as usize);
        // The second thread runs while the first is held inside a callback.
        client.log.inside = Some(Box::new(move || {
            let other =
                std::thread::spawn(move || api.parse(handle as CUvideoparser, Some(&mut empty_packet())));
            assert_ne!(other.join().unwrap(), 0);
        }));
        client.play(&clip.packets, 0);
        client.close();
    })
    .breach("parser-two-threads");
}

#[test]
fn a_parser_not_destroyed_is_a_leak() {
    let outcome = scenario("a_parser_not_destroyed_is_a_leak", &[], || {
        std::mem::forget(Client::new(codec::H264, 0));
    })
    .ok();
    assert_eq!(outcome.report["leaks"][0]["kind"], "video parser");
}

/// Output order of raw streams, as ffmpeg's decoder has it.
#[test]
fn raw_streams_come_out_in_order() {
    let streams = crate::parser_clips::streams();
    assert!(streams.len() >= 30, "only {} streams", streams.len());
    scenario("raw_streams_come_out_in_order", &[], || {
        for (path, codec) in &streams {
            let Some(expected) = crate::parser_clips::output_order(path) else {
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("SKIPPED: no ffprobe for {}\n", path.display()),
                );
                continue;
            };
            let data = std::fs::read(path).unwrap();
            for (delay, chunk) in [(0, data.len()), (4, 1000)] {
                let mut client = Client::new(*codec, delay);
                client.play_chunks(&data, chunk);
                let log = client.close();
                assert!(log.reused.is_empty(), "{}: {:?}", path.display(), log.reused);
                assert_eq!(log.order(), expected, "{}", path.display());
            }
        }
    })
    .clean();
}

#[test]
fn every_rule_is_provoked_in_this_file() {
    let text = include_str!("nvdec_parser.rs");
    for rule in nvsim::nvdec::parser::rules::ALL {
        assert!(text.contains(&format!("\"{}\"", rule.name)), "no test for {}", rule.name);
    }
}

/// A stream cut at a random access point that is not the beginning: the pictures that lead it refer to what is missing.
#[test]
fn leading_pictures_of_the_first_random_access_point_are_skipped() {
    let arguments = "libx265 -x265-params log-level=error:bframes=3:b-adapt=0:open-gop=1:keyint=10:min-keyint=10:repeat-headers=1";
    let Some(clip) = clip("leading", "mpegts", arguments) else { return };
    scenario("leading_pictures_of_the_first_random_access_point_are_skipped", &[], || {
        let is_cra =
            |data: &[u8]| data.windows(4).any(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] >> 1 & 63 == 21);
        let cut = clip.packets.iter().position(|packet| is_cra(&packet.data)).expect("an open group");
        let start = clip.packets[cut].pts;
        let rest = &clip.packets[cut..];
        let leading = rest.iter().filter(|packet| packet.pts < start).count();
        assert!(leading > 0, "the group has leading pictures");
        let mut client = Client::new(codec::HEVC, 0);
        client.play(rest, 0);
        let log = client.close();
        assert_eq!(log.pictures, rest.len() - leading);
        assert_eq!(log.times(), clip.times().into_iter().filter(|&time| time >= start).collect::<Vec<_>>());
    })
    .clean();
}

/// A stream without IDR pictures after its first: decoding starts at the recovery point.
#[test]
fn h264_starts_at_a_recovery_point() {
    let Some(clip) = clip("recovery", "mpegts", "libx264 -bf 0 -x264-params intra-refresh=1:keyint=15")
    else {
        return;
    };
    scenario("h264_starts_at_a_recovery_point", &[], || {
        // The parameter sets, then the stream from its third picture on.
        let first = &clip.packets[0].data;
        let idr = first.windows(5).position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 31 == 5).unwrap();
        let has_recovery = |data: &[u8]| data.windows(4).any(|bytes| bytes == [0, 0, 1, 6]);
        let entry = clip.packets.iter().skip(2).position(|packet| has_recovery(&packet.data)).unwrap() + 2;
        let mut client = Client::new(codec::H264, 0);
        client.send(&first[..idr], 0, 0);
        client.play(&clip.packets[2..], 0);
        let log = client.close();
        assert_eq!(log.pictures, clip.packets.len() - entry);
        assert_eq!(log.times(), clip.times()[entry..]);
    })
    .clean();
}
