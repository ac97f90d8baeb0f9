//! `trim`: a part of a file.

use video_hw::{Error, Result};

use crate::args::TranscodeArgs;
use crate::exit::Exit;
use crate::{copy, transcode};

pub(crate) fn run(args: &TranscodeArgs) -> Result<Exit> {
    if args.part.start.is_none() && args.part.duration.is_none() && args.part.frames.is_none() {
        return Err(Error::invalid("trim needs the part that is wanted: --start, --duration, or both"));
    }
    if args.copy { copy::run("trim", args) } else { transcode::encode("trim", args) }
}
