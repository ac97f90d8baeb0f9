//! Intel's own programs on the simulated runtime, by way of Debian's dispatcher. Most run with the simulation saying that it is software: for
//! hardware they open a display.

use std::path::Path;

use crate::common::{ffmpeg, made, md5, probe, run, skipped};

const SOFTWARE: [&str; 2] = ["--set", "impl=software"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn sample_decode_writes_what_ffmpeg_writes() {
    let folder = tempfile::tempdir().unwrap();
    let clips = [
        ("h264", "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 2"),
        ("h265", "a.h265", "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none"),
        ("h265", "ten.h265", "-pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none"),
        ("mpeg2", "a.m2v", "-pix_fmt yuv420p -c:v mpeg2video -bf 2 -f mpeg2video"),
        ("vp9", "vp9.ivf", "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -deadline realtime"),
        ("av1", "av1.ivf", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime"),
    ];
    for (codec, name, options) in clips {
        let Some(path) = made(folder.path(), name, options) else { continue };
        let out = folder.path().join("out.yuv");
        let arguments = [codec, "-i", text(&path), "-o", text(&out), "-sw"];
        let Some(outcome) = run("sample_decode", &SOFTWARE, &arguments) else { return };
        outcome.clean();
        let mut wanted = ffmpeg(&path, if name == "ten.h265" { "p010le" } else { "nv12" });
        if name == "ten.h265" {
            // The program writes samples with their bits at the bottom.
            for pair in wanted.chunks_exact_mut(2) {
                let sample = u16::from_le_bytes([pair[0], pair[1]]) >> 6;
                pair.copy_from_slice(&sample.to_le_bytes());
            }
        }
        assert_eq!(md5(&std::fs::read(&out).unwrap()), md5(&wanted), "{name}");
    }
}

#[test]
fn sample_encode_and_sample_multi_transcode_make_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("in.nv12");
    let source =
        made(folder.path(), "a.h264", "-vf scale=320:176 -pix_fmt yuv420p -c:v libx264 -bf 2").unwrap();
    std::fs::write(&raw, ffmpeg(&source, "nv12")).unwrap();
    let size = ["-w", "320", "-h", "176", "-f", "25", "-nv12", "-sw"];
    for (codec, name, more) in [
        ("h264", "h264", &["-b", "500"][..]),
        ("h264", "h264", &["-cqp", "-qpi", "20", "-qpp", "22", "-qpb", "25", "-r", "4", "-bref"]),
        ("h265", "hevc", &["-icq", "28", "-r", "1", "-g", "8", "-idr_interval", "1"]),
        ("h265", "hevc", &["-vbr", "-b", "400"]),
    ] {
        let out = folder.path().join(format!("out.{codec}"));
        let arguments = [&[codec, "-i", text(&raw), "-o", text(&out)], &size[..], more].concat();
        let Some(outcome) = run("sample_encode", &SOFTWARE, &arguments) else { return };
        outcome.clean();
        assert_eq!(probe(&out), (name.to_owned(), 320, 176, 20), "{more:?}");
    }
    let out = folder.path().join("out.h265");
    let arguments = ["-i::h264", text(&source), "-o::h265", text(&out), "-sw", "-b", "600"];
    let Some(outcome) = run("sample_multi_transcode", &SOFTWARE, &arguments) else { return };
    outcome.clean();
    assert_eq!(probe(&out), ("hevc".to_owned(), 320, 176, 20));
    let out = folder.path().join("out.rgb");
    let arguments = [
        "-lib",
        "sw",
        "-sw",
        "320",
        "-sh",
        "176",
        "-scc",
        "nv12",
        "-dw",
        "160",
        "-dh",
        "96",
        "-dcc",
        "rgb4",
        "-i",
        text(&raw),
        "-o",
        text(&out),
    ];
    match run("sample_vpp", &SOFTWARE, &arguments) {
        Some(outcome) => {
            outcome.clean();
            assert_eq!(std::fs::metadata(&out).unwrap().len(), 20 * 160 * 96 * 4);
        }
        None => skipped("sample_vpp"),
    }
}

/// With a render node, libdrm's answers and a VA display, as on a machine with a GPU.
#[test]
fn programs_find_a_gpu_and_work_in_its_surfaces() {
    if !["/usr/include/va/va.h", "/usr/include/libdrm/drm.h"].iter().all(|file| Path::new(file).exists()) {
        return skipped("no headers of VA-API and libdrm (Debian packages libva-dev, libdrm-dev)");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 2").unwrap();
    let wanted = md5(&ffmpeg(&path, "nv12"));
    let out = folder.path().join("out.yuv");
    let arguments = ["h264", "-i", text(&path), "-o", text(&out), "-hw", "-vaapi"];
    let Some(outcome) = run("sample_decode", &["--gpu"], &arguments) else { return };
    outcome.clean();
    assert_eq!(md5(&std::fs::read(&out).unwrap()), wanted);
    let coded = folder.path().join("out.h264");
    let arguments =
        ["-i::h264", text(&path), "-o::h264", text(&coded), "-hw", "-w", "96", "-h", "64", "-b", "400"];
    run("sample_multi_transcode", &["--gpu"], &arguments).unwrap().clean();
    assert_eq!(probe(&coded), ("h264".to_owned(), 96, 64, 20));
    // The installed ffmpeg comes by way of Media SDK's dispatcher, which knows of newer GPUs that their runtime is this one.
    let encoders =
        std::process::Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output().unwrap().stdout;
    if !String::from_utf8_lossy(&encoders).contains("h264_qsv") {
        return skipped("the installed ffmpeg has no qsv");
    }
    let options = ["--gpu", "--profile", "arc"];
    let common = ["-nostdin", "-v", "error", "-y"];
    let decode =
        ["-c:v", "h264_qsv", "-i", text(&path), "-fps_mode", "passthrough", "-f", "rawvideo", text(&out)];
    run("ffmpeg", &options, &[&common[..], &decode].concat()).unwrap().clean();
    assert_eq!(md5(&std::fs::read(&out).unwrap()), wanted);
    let encode = ["-i", text(&path), "-vf", "format=nv12", "-c:v", "h264_qsv", "-b:v", "400k", text(&coded)];
    run("ffmpeg", &options, &[&common[..], &encode].concat()).unwrap().clean();
    assert_eq!(probe(&coded), ("h264".to_owned(), 178, 146, 20));
}
