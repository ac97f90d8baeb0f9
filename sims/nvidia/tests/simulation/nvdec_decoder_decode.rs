//! Pictures through the decoder half: what comes out is what went in, when it is ready and not before, in the form that
//! was asked for.

use std::ffi::c_void;
use std::time::{Duration, Instant};

use crate::common::scenario;
use crate::nvdec_client::*;
use crate::nvdec_clips::*;
use nvsim::nvdec::abi::*;

/// How a clip of one codec is made and decoded.
struct Case {
    codec: u32,
    format: &'static str,
    ten_bit: bool,
    options: &'static [&'static str],
}

const H264: Case = Case {
    codec: codec::H264,
    format: "h264",
    ten_bit: false,
    options: &["-c:v", "libx264", "-bf", "3", "-x264-params", "keyint=12:b-pyramid=normal"],
};

/// The clip and a decoder for it; the shown part is 324x182 of the coded picture.
fn clip_and_info(directory: &std::path::Path, case: &Case) -> (Clip, CUVIDDECODECREATEINFO) {
    let clip = cut(&encode(directory, "324x182", 24, case.options), case.format);
    let mut info = info(case.codec, 336, 192);
    info.display_area = ShortRect { left: 0, top: 0, right: 324, bottom: 182 };
    info.ulTargetWidth = 324;
    info.ulTargetHeight = 182;
    if case.ten_bit {
        info.bitDepthMinus8 = 2;
        info.OutputFormat = surface_format::P016;
    }
    (clip, info)
}

/// MD5 of a mapped NV12 or P016 frame of 324x182 as planar samples in the low bits.
fn planar(driver: &Driver, address: u64, pitch: usize, ten_bit: bool) -> String {
    let bytes = if ten_bit { 2 } else { 1 };
    let rows = driver.rows(address, pitch, 324 * bytes, 182 + 91);
    let mut samples: Vec<Vec<u8>> = rows.chunks(bytes).map(<[u8]>::to_vec).collect();
    if ten_bit {
        for sample in &mut samples {
            let value = u16::from_le_bytes([sample[0], sample[1]]);
            assert_eq!(value & 0x3f, 0, "the low six bits are zero");
            *sample = (value >> 6).to_le_bytes().to_vec();
        }
    }
    let chroma = samples.split_off(324 * 182);
    let part = |first: usize| chroma.iter().skip(first).step_by(2).flatten().copied().collect::<Vec<u8>>();
    md5_text(&[&samples.concat(), &part(0), &part(1)])
}

fn same_as_ffmpeg(test: &str, case: &Case) {
    if !ffmpeg_is_there() {
        return;
    }
    scenario(test, &[], || {
        let directory = tempfile::tempdir().unwrap();
        let (clip, info) = clip_and_info(directory.path(), case);
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info);
        let mut found = vec![String::new(); clip.expected.len()];
        for (number, (data, place)) in clip.pictures.iter().zip(&clip.places).enumerate() {
            let index = number as i32 % 4;
            assert_eq!(driver.decode_data(decoder, index, data), SUCCESS);
            let (address, pitch) = driver.map_frame(decoder, index).unwrap();
            if let Some(place) = place {
                found[*place] = planar(&driver, address, pitch, case.ten_bit);
            }
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
        }
        assert_eq!(found, clip.expected);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
        drop(directory);
    })
    .clean();
}

#[test]
fn h264_is_decoded_as_ffmpeg_does() {
    same_as_ffmpeg("h264_is_decoded_as_ffmpeg_does", &H264);
}

#[test]
fn ten_bit_hevc_is_decoded_as_ffmpeg_does() {
    let options = &[
        "-c:v",
        "libx265",
        "-pix_fmt",
        "yuv420p10le",
        "-x265-params",
        "bframes=3:keyint=12:pools=1:log-level=error",
    ];
    let case = Case { codec: codec::HEVC, format: "hevc", ten_bit: true, options };
    same_as_ffmpeg("ten_bit_hevc_is_decoded_as_ffmpeg_does", &case);
}

#[test]
fn mpeg2_is_decoded_as_ffmpeg_does() {
    let case = Case {
        codec: codec::MPEG2,
        format: "mpeg2video",
        ten_bit: false,
        options: &["-c:v", "mpeg2video", "-bf", "2", "-b:v", "2M"],
    };
    same_as_ffmpeg("mpeg2_is_decoded_as_ffmpeg_does", &case);
}

#[test]
fn a_reused_surface_is_overwritten() {
    if !ffmpeg_is_there() {
        return;
    }
    scenario("a_reused_surface_is_overwritten", &[], || {
        let directory = tempfile::tempdir().unwrap();
        let (clip, info) = clip_and_info(directory.path(), &H264);
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info);
        for data in &clip.pictures[..2] {
            assert_eq!(driver.decode_data(decoder, 0, data), SUCCESS);
        }
        let (address, pitch) = driver.map_frame(decoder, 0).unwrap();
        let place = clip.places[1].unwrap();
        assert_eq!(planar(&driver, address, pitch, false), clip.expected[place]);
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
        drop(directory);
    })
    .clean();
}

#[test]
fn a_fault_script_damages_one_picture() {
    if !ffmpeg_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("faults.toml");
    std::fs::write(&script, "[[fault]]\nfunction = 'cuvidDecodePicture'\ncall = 2\ncorrupt = true\n")
        .unwrap();
    let environment = [("NVSIM_CONFIG", script.to_str().unwrap())];
    let outcome = scenario("a_fault_script_damages_one_picture", &environment, || {
        let directory = tempfile::tempdir().unwrap();
        let (clip, info) = clip_and_info(directory.path(), &H264);
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info);
        for (index, data) in clip.pictures[..3].iter().enumerate() {
            assert_eq!(driver.decode_data(decoder, index as i32, data), SUCCESS);
            let (address, pitch) = driver.map_frame(decoder, index as i32).unwrap();
            let whole = planar(&driver, address, pitch, false) == clip.expected[clip.places[index].unwrap()];
            let wanted = if index == 1 { decode_status::ERROR_CONCEALED } else { decode_status::SUCCESS };
            assert_eq!(driver.decode_status(decoder, index as i32), wanted);
            assert_eq!(whole, index == 0, "the third picture is predicted from the damaged one");
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
        }
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
        drop(directory);
    })
    .clean();
    assert_eq!(outcome.report["sections"]["nvdec"]["pictures_damaged"], 1);
}

#[test]
fn a_fault_script_says_what_became_of_chosen_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("faults.toml");
    let text = "[canned]\ndecode = true\n\
                [[fault]]\nfunction = 'cuvidDecodePicture'\ncall = 2\ndecode_status = 9\n\
                [[fault]]\nfunction = 'cuvidDecodePicture'\ncall = 4\ncount = 2\ndecode_status = 8\n";
    std::fs::write(&script, text).unwrap();
    let environment = [("NVSIM_CONFIG", script.to_str().unwrap())];
    let outcome = scenario("a_fault_script_says_what_became_of_chosen_pictures", &environment, || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::HEVC, 320, 192));
        let mut statuses = Vec::new();
        for number in 0..6 {
            let index = number % 4;
            assert_eq!(driver.decode_data(decoder, index, &[0; 100]), SUCCESS);
            // The picture is there all the same.
            let (address, pitch) = driver.map_frame(decoder, index).unwrap();
            let luma = driver.rows(address, pitch, 320, 192);
            assert!(luma.iter().all(|sample| (16..236).contains(sample)), "picture {number}");
            statuses.push(driver.decode_status(decoder, index));
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
        }
        let (good, bad) = (decode_status::SUCCESS, decode_status::ERROR);
        assert_eq!((good, bad, decode_status::ERROR_CONCEALED), (2, 8, 9));
        assert_eq!(statuses, [good, decode_status::ERROR_CONCEALED, good, bad, bad, good]);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
    let figures = &outcome.report["sections"]["nvdec"];
    assert_eq!((&figures["pictures_damaged"], &figures["pictures_undecodable"]), (&1.into(), &2.into()));
}

#[test]
fn garbage_ends_in_an_error_status_and_nothing_worse() {
    scenario("garbage_ends_in_an_error_status_and_nothing_worse", &[], || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::H264, 336, 192));
        let mut data = vec![0u8; 4000];
        data.iter_mut().enumerate().for_each(|(place, byte)| *byte = ((place * place) >> 3) as u8);
        data[..4].copy_from_slice(&[0, 0, 1, 0x67]);
        assert_eq!(driver.decode_data(decoder, 0, &data), SUCCESS);
        let (address, _) = driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.decode_status(decoder, 0), decode_status::ERROR);
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn a_frame_is_ready_when_its_stream_is() {
    let environment = [("NVSIM_SET", "canned.decode=true;time.enabled=true;time.launch_ns=400000000")];
    scenario("a_frame_is_ready_when_its_stream_is", &environment, || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::H264, 320, 192));
        let mut stream = std::ptr::null_mut();
        assert_eq!(driver.stream_create(&mut stream, 1), SUCCESS);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        let start = Instant::now();
        let (address, _) = driver.map_on(decoder, 0, stream).unwrap();
        // SAFETY: device memory is memory of this process, and the frame is mapped.
        let first = || unsafe { (address as usize as *const u8).read_volatile() };
        let early = first();
        let in_time = start.elapsed() < Duration::from_millis(200);
        assert_eq!(driver.stream_synchronize(stream), SUCCESS);
        let ready = first();
        assert!((16..236).contains(&ready) && ready != 0xA5);
        if in_time {
            assert_eq!(early, 0xA5, "read before the stream was done");
        }
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.stream_destroy(stream), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn an_unmapped_frame_is_wiped() {
    scenario("an_unmapped_frame_is_wiped", &[], || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::MPEG2, 320, 192));
        assert_eq!(driver.decode_data(decoder, 0, &[1; 100]), SUCCESS);
        let (address, pitch) = driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert!(driver.rows(address, pitch, 320, 192).iter().all(|byte| *byte == 0xDD));
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn the_queue_holds_four_and_the_fifth_waits() {
    let set = "canned.decode=true;time.enabled=true;time.decode_ns_per_frame=20000000";
    scenario("the_queue_holds_four_and_the_fifth_waits", &[("NVSIM_SET", set)], || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 320, 192);
        info.ulNumDecodeSurfaces = 10;
        let decoder = driver.decoder(&info);
        for index in 0..10 {
            assert_eq!(driver.decode_data(decoder, index, &[0; 100]), SUCCESS);
        }
        // Four wait and one is decoded, so at least five are done.
        let done =
            (0..10).filter(|index| driver.decode_status(decoder, *index) == decode_status::SUCCESS).count();
        assert!(done >= 5, "{done}");
        let (address, _) = driver.map_frame(decoder, 9).unwrap();
        assert!((0..10).all(|index| driver.decode_status(decoder, index) == decode_status::SUCCESS));
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn the_loss_of_the_device_wakes_who_waits() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("faults.toml");
    let text = "[canned]\ndecode = true\n[time]\nenabled = true\ndecode_ns_per_frame = 3600000000000\n\
                [[fault]]\nfunction = 'cuvidGetDecodeStatus'\ndevice_lost = true\n";
    std::fs::write(&script, text).unwrap();
    let environment = [("NVSIM_CONFIG", script.to_str().unwrap())];
    scenario("the_loss_of_the_device_wakes_who_waits", &environment, || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::H264, 320, 192)) as usize;
        assert_eq!(driver.decode_data(decoder as CUvideodecoder, 0, &[0; 100]), SUCCESS);
        let context = context as usize;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                assert_eq!(driver.ctx_push(context as *mut c_void), SUCCESS);
                driver.map_frame(decoder as CUvideodecoder, 0)
            });
            let mut lock = std::ptr::null_mut();
            assert_eq!(driver.lock_create(&mut lock, context as *mut c_void), SUCCESS);
            assert_eq!(driver.lock(lock, 0), SUCCESS);
            let (shared, handle) = (&driver, lock as usize);
            let locking = scope.spawn(move || shared.lock(handle as CUvideoctxlock, 0));
            std::thread::sleep(Duration::from_millis(50));
            let mut status = CUVIDGETDECODESTATUS::zeroed();
            assert_eq!(driver.status(decoder as CUvideodecoder, 0, &mut status), DEVICE_LOST);
            assert_eq!(waiting.join().unwrap(), Err(DEVICE_LOST));
            assert_eq!(locking.join().unwrap(), DEVICE_LOST);
            assert_eq!(driver.unlock(lock, 0), SUCCESS);
            assert_eq!(driver.lock_destroy(lock), SUCCESS);
        });
        // Does not wait an hour either.
        assert_eq!(driver.destroy(decoder as CUvideodecoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context as *mut c_void), SUCCESS);
    })
    .clean();
}

#[test]
fn the_end_of_a_decoder_wakes_who_waits() {
    let settings = "canned.decode=true;time.enabled=true;time.decode_ns_per_frame=3600000000000";
    let environment = [("NVSIM_SET", settings)];
    scenario("the_end_of_a_decoder_wakes_who_waits", &environment, || {
        let (driver, context) = Driver::with_context();
        let decoder = driver.decoder(&info(codec::H264, 320, 192)) as usize;
        assert_eq!(driver.decode_data(decoder as CUvideodecoder, 0, &[0; 100]), SUCCESS);
        assert_eq!(driver.decode_data(decoder as CUvideodecoder, 1, &[0; 100]), SUCCESS);
        let context = context as usize;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                assert_eq!(driver.ctx_push(context as *mut c_void), SUCCESS);
                // The second picture: it is dropped with the queue.
                driver.map_frame(decoder as CUvideodecoder, 1)
            });
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(driver.destroy(decoder as CUvideodecoder), SUCCESS);
            assert_eq!(waiting.join().unwrap(), Err(INVALID_HANDLE));
        });
        assert_eq!(driver.ctx_destroy(context as *mut c_void), SUCCESS);
    })
    .ok();
}

#[test]
fn decoders_take_device_memory_and_give_it_back() {
    scenario("decoders_take_device_memory_and_give_it_back", &[CANNED], || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 4096, 4096);
        info.ulNumDecodeSurfaces = 32;
        info.ulTargetWidth = 64;
        info.ulTargetHeight = 64;
        let fill = || {
            let mut decoders = Vec::new();
            loop {
                let mut decoder = std::ptr::null_mut();
                match driver.create(&mut decoder, &mut info.clone()) {
                    SUCCESS => decoders.push(decoder),
                    error => {
                        assert_eq!(error, OUT_OF_MEMORY);
                        break decoders;
                    }
                }
            }
        };
        let mut counts = Vec::new();
        for _ in 0..2 {
            let decoders = fill();
            counts.push(decoders.len());
            decoders.into_iter().for_each(|decoder| assert_eq!(driver.destroy(decoder), SUCCESS));
        }
        // 24 GiB, 32 surfaces of 24 MiB each.
        assert!((28..32).contains(&counts[0]) && counts[0] == counts[1], "{counts:?}");
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn a_reconfigured_decoder_maps_the_new_size() {
    scenario("a_reconfigured_decoder_maps_the_new_size", &[CANNED], || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 320, 192);
        info.ulMaxWidth = 1920;
        info.ulMaxHeight = 1088;
        // Mapped frames have room for the larger size from the beginning.
        info.ulTargetWidth = 1920;
        info.ulTargetHeight = 1080;
        let decoder = driver.decoder(&info);
        assert_eq!(driver.decode_data(decoder, 3, &[0; 100]), SUCCESS);
        let mut change = CUVIDRECONFIGUREDECODERINFO {
            ulWidth: 1920,
            ulHeight: 1088,
            ulTargetWidth: 1920,
            ulTargetHeight: 1080,
            ulNumDecodeSurfaces: 6,
            display_area: ShortRect { left: 0, top: 0, right: 1920, bottom: 1080 },
            ..Zeroed::zeroed()
        };
        assert_eq!(driver.reconfigure(decoder, &mut change), SUCCESS);
        assert_eq!(driver.decode_data(decoder, 5, &[0; 100]), SUCCESS);
        let (address, pitch) = driver.map_frame(decoder, 5).unwrap();
        assert_eq!(pitch, 2048);
        let rows = driver.rows(address, pitch, 1920, 1080 + 540);
        assert!(rows.iter().all(|sample| (16..236).contains(sample)));
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        // The picture of before is still in its surface, and is scaled to the new size.
        let (address, _) = driver.map_frame(decoder, 3).unwrap();
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn a_histogram_counts_the_decoded_luma() {
    scenario("a_histogram_counts_the_decoded_luma", &[CANNED], || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 320, 192);
        info.enableHistogram = 1;
        info.ulTargetWidth = 64;
        info.ulTargetHeight = 64;
        let decoder = driver.decoder(&info);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        let mut histogram = 0u64;
        let mut params =
            CUVIDPROCPARAMS { progressive_frame: 1, histogram_dptr: &mut histogram, ..Zeroed::zeroed() };
        let (mut address, mut pitch) = (0, 0);
        assert_eq!(driver.map(decoder, 0, &mut address, &mut pitch, &mut params), SUCCESS);
        let mut bins = [0u32; 256];
        assert_eq!(driver.copy_from(bins.as_mut_ptr().cast(), histogram, 1024), SUCCESS);
        assert_eq!(bins.iter().sum::<u32>(), 320 * 192);
        assert_eq!(bins[..16].iter().sum::<u32>(), 0);
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn a_context_lock_is_recursive_and_keeps_others_out() {
    scenario("a_context_lock_is_recursive_and_keeps_others_out", &[CANNED], || {
        let (driver, context) = Driver::with_context();
        let mut lock = std::ptr::null_mut();
        assert_eq!(driver.lock_create(&mut lock, context), SUCCESS);
        let mut info = info(codec::H264, 320, 192);
        info.vidLock = lock;
        let decoder = driver.decoder(&info) as usize;
        // With a lock no context need be current.
        assert_eq!(driver.ctx_pop(&mut std::ptr::null_mut()), SUCCESS);
        assert_eq!(driver.lock(lock, 0), SUCCESS);
        assert_eq!(driver.lock(lock, 0), SUCCESS);
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(driver.decode_data(decoder as CUvideodecoder, 0, &[0; 100]), SUCCESS);
                told.send(()).unwrap();
            });
            assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "decoded past the lock");
            assert_eq!(driver.unlock(lock, 0), SUCCESS);
            assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "one unlock is not enough");
            assert_eq!(driver.unlock(lock, 0), SUCCESS);
            heard.recv().unwrap();
        });
        let (address, _) = driver.map_frame(decoder as CUvideodecoder, 0).unwrap();
        assert_eq!(driver.unmap(decoder as CUvideodecoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder as CUvideodecoder), SUCCESS);
        assert_eq!(driver.lock_destroy(lock), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}

#[test]
fn capabilities_are_those_of_the_profile() {
    scenario("capabilities_are_those_of_the_profile", &[("NVSIM_PROFILE", "h200")], || {
        let (driver, context) = Driver::with_context();
        let ask = |codec, chroma, depth: u32| {
            let mut caps = CUVIDDECODECAPS {
                eCodecType: codec,
                eChromaFormat: chroma,
                nBitDepthMinus8: depth - 8,
                ..Zeroed::zeroed()
            };
            caps.nMaxWidth = 99;
            assert_eq!(driver.caps(&mut caps), SUCCESS);
            caps
        };
        let h264 = ask(codec::H264, chroma_format::YUV420, 8);
        assert_eq!((h264.bIsSupported, h264.nMaxWidth, h264.nMaxMBCount), (1, 4096, 65536));
        assert_eq!(h264.nOutputFormatMask, 1 << surface_format::NV12);
        let hevc = ask(codec::HEVC, chroma_format::YUV420, 10);
        assert_eq!(hevc.nOutputFormatMask, 1 << surface_format::NV12 | 1 << surface_format::P016);
        for (codec, chroma, depth) in
            [(codec::AV1, 1, 8), (codec::H264, 1, 10), (codec::H264, 3, 8), (77, 1, 8), (codec::HEVC, 9, 8)]
        {
            let caps = ask(codec, chroma, depth);
            assert_eq!((caps.bIsSupported, caps.nMaxWidth, caps.nOutputFormatMask), (0, 0, 0), "{codec}");
        }
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
}
