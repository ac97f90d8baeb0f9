//! Names that Windows takes for something else than a file, and names that it gives to none.

use std::ffi::OsStr;
use std::path::{Component, Path, Prefix, PrefixComponent};

/// What no name may have in it. A colon would be worse than refused: what follows it names a stream inside of another file.
const WRONG: &str = "<>:\"|?*";

/// Of a name, and not of the whole path.
const LONGEST: usize = 255;

fn prefix(path: &Path) -> Option<PrefixComponent<'_>> {
    match path.components().next() {
        Some(Component::Prefix(prefix)) => Some(prefix),
        _ => None,
    }
}

/// A device that can be read or written, in whatever folder, or anything in the system's folder of devices and pipes but
/// disks and what is on them.
pub(crate) fn is_device(path: &Path) -> bool {
    let is_known = |name: &OsStr| {
        ["NUL", "CON", "CONIN$", "CONOUT$"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let is_device = match prefix(path).map(|prefix| prefix.kind()) {
        Some(Prefix::DeviceNS(name)) => !is_drive(name) && !is_disk(name),
        Some(Prefix::UNC(_, share)) => share.eq_ignore_ascii_case("pipe"),
        _ => false,
    };
    is_device || path.file_name().is_some_and(is_known)
}

/// `C:`, behind which files are named as usual.
fn is_drive(device: &OsStr) -> bool {
    matches!(device.as_encoded_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

/// The names of whole disks and volumes, and the door to any device.
fn is_disk(device: &OsStr) -> bool {
    const DISKS: [&str; 5] = ["PhysicalDrive", "Harddisk", "CdRom", "Volume", "GLOBALROOT"];
    let name = device.to_string_lossy();
    let begins = |with: &str| name.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    DISKS.into_iter().any(begins)
}

/// Why no file can be written under this name. Of some of these the system tells when the file gets its name, which is when all
/// the work is done.
pub(crate) fn refusal(path: &Path) -> Option<String> {
    if let Some(Prefix::DeviceNS(device)) = prefix(path).map(|prefix| prefix.kind())
        && (is_disk(device) || path.file_name().is_none())
    {
        return Some("a disk is not written to as a whole".to_owned());
    }
    let name = path.file_name()?.to_string_lossy();
    if let Some(wrong) = name.chars().find(|c| WRONG.contains(*c) || *c < ' ') {
        return Some(format!("no file name has {wrong:?} on Windows"));
    }
    if name.encode_utf16().count() > LONGEST {
        return Some(format!("no file name is longer than {LONGEST} characters on Windows"));
    }
    let is_taken_as_it_is = prefix(path).is_some_and(|prefix| prefix.kind().is_verbatim());
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    (!is_taken_as_it_is && is_reserved(stem))
        .then(|| format!("{stem} is a device on Windows, whatever follows it"))
}

fn is_reserved(stem: &str) -> bool {
    let is = |known: &str| stem.eq_ignore_ascii_case(known);
    let is_port = || {
        let (kind, number) = (stem.get(..3)?, stem.get(3..)?);
        let is_kind = kind.eq_ignore_ascii_case("COM") || kind.eq_ignore_ascii_case("LPT");
        // The superscript digits of Latin-1 are digits to the system.
        let mut digits = number.chars();
        let is_one_digit = matches!(digits.next(), Some('1'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'));
        Some(is_kind && is_one_digit && digits.next().is_none())
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].into_iter().any(is) || is_port().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_their_names() {
        for device in
            ["nul", "NUL", r"C:\folder\con", "conout$", r"\\.\pipe\frames", r"\\server\pipe\frames", "CONIN$"]
        {
            assert!(is_device(Path::new(device)), "{device}");
        }
        for file in [
            "nul.mp4",
            "console",
            r"C:\nul\out.mp4",
            r"\\?\C:\out.mp4",
            r"\\.\C:\out.mp4",
            r"\\server\films\pipe",
        ] {
            assert!(!is_device(Path::new(file)), "{file}");
        }
    }

    #[test]
    fn names_of_no_file_are_refused() {
        let long = "n".repeat(256);
        for (name, words) in [
            ("aux.mp4", "aux is a device"),
            (r"C:\films\Com1", "Com1 is a device"),
            ("LPT\u{b3}.tar.gz", "is a device"),
            ("nul .mp4", "nul is a device"),
            ("rec-12:30.mp4", "has ':'"),
            (r"Z:\a\b?.mp4", "has '?'"),
            (r"\\.\C:", "a disk is not written"),
            (r"\\.\PhysicalDrive1", "a disk is not written"),
            (r"\\.\GLOBALROOT\Device\Harddisk0\Partition0", "a disk is not written"),
            ("two\nlines.mp4", r"has '\n'"),
            (long.as_str(), "longer than 255"),
        ] {
            assert!(refusal(Path::new(name)).is_some_and(|why| why.contains(words)), "{name}: {words}");
        }
        for name in [
            "auxiliary.mp4",
            "com.mp4",
            "com10.mp4",
            "a:b.mp4",
            r"C:\aux\b.mp4",
            r"\\?\C:\aux.mp4",
            r"\\.\C:\films\out.mp4",
            "видео é.mp4",
            "..",
        ] {
            assert_eq!(refusal(Path::new(name)), None, "{name}");
        }
    }
}
