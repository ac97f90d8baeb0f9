//! Coded samples of MP4 files, as ffprobe finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use md5::{Digest, Md5};

use crate::client::{Frameworks, NULL, Ref};

/// A file with its samples in decoding order.
pub struct Clip {
    pub path: PathBuf,
    pub samples: Vec<(i64, Vec<u8>)>,
    record: Vec<u8>,
    atom: &'static str,
    codec: [u8; 4],
    size: (i32, i32),
}

/// A clip of the repository.
pub fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clips").join(name)
}

/// An MP4 file made of test pictures by these options of ffmpeg.
pub fn made(folder: &Path, options: &[&str]) -> PathBuf {
    let path = folder.join("made.mp4");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=178x146:rate=25:duration=1"])
        .args(options)
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

impl Clip {
    pub fn open(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap();
        let probe = |entries: &str| {
            let output = Command::new("ffprobe")
                .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0", "-show_entries", entries])
                .arg(path)
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let samples = probe("packet=pts,size,pos")
            .lines()
            .map(|line| {
                let numbers: Vec<i64> =
                    line.split(',').take(3).map(|field| field.trim().parse().unwrap()).collect();
                let (pts, size, at) = (numbers[0], numbers[1] as usize, numbers[2] as usize);
                (pts, file[at..at + size].to_vec())
            })
            .collect();
        let list = [
            ("avcC", *b"avc1"),
            ("hvcC", *b"hvc1"),
            ("vpcC", *b"vp09"),
            ("av1C", *b"av01"),
            ("esds", *b"mp4v"),
        ];
        let (atom, codec, at) = list
            .into_iter()
            .find_map(|(atom, codec)| {
                Some((atom, codec, file.windows(4).position(|window| window == atom.as_bytes())?))
            })
            .unwrap();
        let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        let record = file[at + 4..at - 4 + size].to_vec();
        let size = probe("stream=width,height");
        let (width, height) = size.trim().trim_end_matches(',').split_once(',').unwrap();
        let size = (width.parse().unwrap(), height.parse().unwrap());
        Self { path: path.into(), samples, record, atom, codec, size }
    }

    /// Its format description, made of the record.
    pub fn format(&self, f: &Frameworks) -> Ref {
        unsafe {
            let data = (f.CFDataCreate)(NULL, self.record.as_ptr(), self.record.len() as isize);
            let name = f.string(self.atom);
            let atoms = f.dictionary(&[(name, data)]);
            f.release(name);
            let key = f.constant("kCMFormatDescriptionExtension_SampleDescriptionExtensionAtoms");
            let extensions = f.dictionary(&[(key, atoms)]);
            let mut format = NULL;
            let codec = u32::from_be_bytes(self.codec);
            let made = (f.CMVideoFormatDescriptionCreate)(
                NULL,
                codec,
                self.size.0,
                self.size.1,
                extensions,
                &mut format,
            );
            assert_eq!(made, 0);
            f.release(extensions);
            format
        }
    }

    /// Parameter sets of an H.264 clip.
    pub fn sets(&self) -> [Vec<u8>; 2] {
        let take = |at: usize| {
            let size = usize::from(self.record[at]) << 8 | usize::from(self.record[at + 1]);
            (self.record[at + 2..at + 2 + size].to_vec(), at + 2 + size)
        };
        let (sps, at) = take(6);
        [sps, take(at + 1).0]
    }

    /// md5 of all pictures in display order, as ffmpeg decodes them.
    pub fn md5(&self, format: &str) -> String {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-noautorotate", "-i"])
            .arg(&self.path)
            .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", format, "-f", "rawvideo", "-"])
            .output()
            .unwrap();
        assert!(output.status.success() && !output.stdout.is_empty());
        md5(&output.stdout)
    }
}

/// As md5sum writes it.
pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
