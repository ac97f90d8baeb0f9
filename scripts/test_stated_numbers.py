"""Numbers that the pages state are those of the constants in the source."""

import re
import unittest

from known_names import ROOT

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 8: "eight", 10: "ten"}

# Page, words with `{}` for the number, file, constant (or field of a default), the unit of the page in that of the constant.
STATED = [
    ("architecture", "A driver call may last {} s", "src/backend/hang.rs", "DRIVER_CALL", 1),
    ("architecture", "a call into a codec library {} minutes", "src/backend/hang.rs", "CODEC_CALL", 60),
    ("architecture", "as many as there are lanes, {} MiB at most", "src/backend/split/segment_queue.rs", "MAX_BYTES", MIB),
    ("architecture", "The reserve r ({} by default)", "src/control/switching/mod.rs", "USUAL_RESERVE", 1),
    ("architecture", "({} GiB at most; beyond it the oldest", "src/failover/in_flight.rs", "MOST_BYTES", GIB),
    ("copy", "at most {} MiB of them as they are coded", "src/pipeline/remux/cut.rs", "MOST_HELD", MIB),
    ("copy", "Up to {} MiB of them wait for the pictures", "src/pipeline/side.rs", "MOST_BYTES", MIB),
    ("copy", "five seconds or {} MiB of the others", "src/pipeline/remux/interleave.rs", "MOST_BYTES", MIB),
    ("decode-support", "(up to {} units or 64 MiB, above which", "src/backend/software/decode/h264/sequence.rs", "MAX_REPLAY_UNITS", 1),
    ("decode-support", "(up to 2000 units or {} MiB, above which", "src/backend/software/decode/h264/sequence.rs", "MAX_REPLAY_BYTES", MIB),
    ("decode-support", "(up to {} units or 64 MiB, beyond which", "src/failover/fallback.rs", "MAX_KEPT_UNITS", 1),
    ("decode-support", "Pictures are limited to {} luma samples", "src/backend/software/decode/mod.rs", "MAX_PIXELS", 1),
    ("decisions", "| {}; a number outside 1 to 64 is refused", "src/config/special.rs", "max_in_flight_outputs", 1),
    ("doctor", "with a limit of {} seconds (`--timeout`)", "src/probing/child.rs", "USUAL_LIMIT", 1),
    ("doctor", "after {} crashes of one candidate", "src/probing/child.rs", "MOST_CRASHES", 1),
    ("encode-support", "| `threads` | 1 to {},", "src/backend/software/encode_settings.rs", "MAX_THREADS", 1),
    ("encode-support", "fewer where a slice would have under {} macroblock rows", "src/backend/software/encode_settings.rs", "MIN_SLICE_ROWS", 1),
    ("encode-support", "to {} Mb/s, by quantisers", "src/backend/software/encode_settings.rs", "MAX_BITRATE", 1_000_000),
    ("encode-support", "average bit rate, {} kb/s to", "src/backend/software/encode_settings.rs", "MIN_BITRATE", 1000),
    ("encode-support", "| {}, and without a bit rate an IDR at scene changes", "src/backend/software/encode_settings.rs", "DEFAULT_GOP", 1),
    ("encode-support", "at most {} messages of 64 KiB", "src/media/user_sei.rs", "MOST", 1),
    ("encode-support", "at most 64 messages of {} KiB", "src/media/user_sei.rs", "MOST_BYTES", KIB),
    ("ffmpeg-child", "within {} seconds and 1 MiB", "src/backend/ffmpeg/program.rs", "ANSWER", 1),
    ("ffmpeg-child", "within 10 seconds and {} MiB", "src/backend/ffmpeg/program.rs", "ANSWER_BYTES", MIB),
    ("ffmpeg-child", "nothing moved in any direction for {} seconds", "src/backend/ffmpeg/child.rs", "PATIENCE", 1),
    ("images", "At most {} million pixels are read", "src/rawvideo/images_decode.rs", "MAX_PIXELS", 1_000_000),
    ("intel", "Up to {} pictures are on their way", "src/backend/vpl/decode/mod.rs", "MAX_INSIDE", 1),
    ("intel", "for {} seconds at most", "src/backend/vpl/driver/session.rs", "PATIENCE", 1),
    ("matroska", "(at most {} packets or 16 MiB)", "src/container/matroska/mux.rs", "MOST_WAITING", 1),
    ("matroska", "(at most 256 packets or {} MiB)", "src/container/matroska/mux.rs", "MOST_WAITING_BYTES", MIB),
    ("matroska", "after 5 seconds or {} MiB", "src/container/matroska/mux.rs", "LARGEST_CLUSTER", MIB),
    ("metrics", "the sums of {} sets of labels are kept", "src/metrics/hub.rs", "MOST_KEPT", 1),
    ("metrics", "are told for {} more seconds", "src/metrics/hub.rs", "ENDED_SHOWN", 1),
    ("metrics", "A request has {} KiB", "cli/src/metrics/endpoint.rs", "REQUEST_BYTES", KIB),
    ("metrics", "KiB and {} seconds, and there are", "cli/src/metrics/endpoint.rs", "REQUEST_TIME", 1),
    ("metrics", "there are {} at once; more are closed", "cli/src/metrics/endpoint.rs", "MOST_AT_ONCE", 1),
    ("mpegts", "are looked for in the next {} MiB", "src/container/mpegts/probing.rs", "AHEAD_BYTES", MIB),
    ("mpegts", "{} MiB are read, at most, for the first picture", "src/container/mpegts/probing.rs", "MOST_BYTES", MIB),
    ("mpegts", "runs back by more than 0.1 s, or forward by more than {} s", "src/container/mpegts/clock.rs", "FORWARD", 90_000),
    ("nvidia", "A part has at least {} pictures", "src/backend/split/segmenter.rs", "MIN_PICTURES", 1),
    ("nvidia", "opens up to {} sessions for three engines", "src/backend/lanes.rs", "PER_THREE_ENGINES", 1),
    ("nvidia", "of the host's memory at most {} GiB", "src/backend/lanes.rs", "MAX_HOST_WINDOW", GIB),
    ("nvidia", "of each card's at most {} GiB", "src/backend/lanes.rs", "MAX_DEVICE_WINDOW", GIB),
    ("nvidia", "(`--max-in-flight`), 1 to {}, 6 by default", "src/backend/nvidia/encode/settings.rs", "MAX_IN_FLIGHT", 1),
    ("nvidia", "(`--max-in-flight`), 1 to 64, {} by default", "src/config/special.rs", "max_in_flight_outputs", 1),
    ("nvidia", "A pool keeps at most {} idle buffers", "src/backend/nvidia/decode/pool.rs", "KEPT_PER_SESSION", 1),
    ("nvidia", "Up to {} pictures are on their way at once, each on a stream", "src/backend/nvidia/decode/output.rs", "MAPPED", 1),
    ("nvidia", "It is believed for {} seconds", "src/backend/admission/knowledge.rs", "SETTLED", 1),
    ("nvidia", "a lock held for {} seconds", "src/backend/admission/host.rs", "PATIENCE", 1),
    ("ring", "`GpuEncoderConfig::enable_ring_buffer`, {} frames", "src/dataset/mod.rs", "ring_buffer_size", 1),
    ("ring", "ring keeps what it holds and {} more", "src/pipeline/ring.rs", "SPARE_SLOTS", 1),
    ("scheduler", "then one every 100 ms, {} at most", "src/pipeline/scheduler/running.rs", "MOST_LENT", 1),
    ("scheduler", "stands still for {} s after that", "src/pipeline/scheduler/running.rs", "HOPELESS", 1),
    ("scheduler", "another is started when something has waited {} ms", "src/pipeline/scheduler/helpers.rs", "PATIENCE", 0.001),
    ("seeking", "{} MiB at most (`ReaderBuilder::memory`)", "src/reader/mod.rs", "MEMORY", MIB),
    ("seeking", "of its first and last {} KiB", "src/reader/stored.rs", "ENDS", KIB),
    ("seeking", "counts {} for each frame", "src/reader/index.rs", "BYTES", 1),
    ("videotoolbox", "Up to {} units are inside", "src/backend/videotoolbox/decode/mod.rs", "MAX_INSIDE", 1),
    ("videotoolbox", "`MaxKeyFrameInterval`; {} by default", "src/backend/videotoolbox/encode/settings.rs", "DEFAULT_GOP", 1),
    ("windows", "at its end it is tried for {} seconds", "src/util/output_file.rs", "PATIENCE", 1),
]


def constant(file, name):
    """The value of a constant, or of a field of a default; of durations in seconds."""
    code = (ROOT / file).read_text()
    value = re.search(rf"const {name}: [^=]+= ([^;]+);", code) or re.search(rf"\b{name}: (\d+),", code)
    if value is None:
        raise AssertionError(f"{file} has no {name}")
    text = value.group(1).replace("_", "")
    time = re.fullmatch(r"Duration::from(secs|millis)\((\d+)\)", text)
    if time:
        return int(time.group(2)) if time.group(1) == "secs" else int(time.group(2)) / 1000
    if not re.fullmatch(r"[\d\s<*]+", text):
        raise AssertionError(f"{file}: {name} is {text}")
    return eval(text)  # digits, shifts and products alone


def forms(value, unit):
    """The number as the pages write it: with digits, with separators, or as a word."""
    number = value // unit if isinstance(value, int) else round(value / unit)
    return {str(number), f"{number:,}", WORDS.get(number, str(number))}


class StatedNumbers(unittest.TestCase):
    def test_numbers_of_the_pages_are_those_of_the_source(self):
        for page, words, file, name, unit in STATED:
            with self.subTest(page=page, words=words):
                text = " ".join((ROOT / f"docs/{page}.md").read_text().split())
                expected = [words.replace("{}", form) for form in sorted(forms(constant(file, name), unit))]
                self.assertTrue(any(one in text for one in expected), f"{file} says {name} = {constant(file, name)}: {expected}")

    def test_values_are_read_as_they_are_written(self):
        self.assertEqual(constant("src/backend/hang.rs", "DRIVER_CALL"), 30)
        self.assertEqual(forms(64 << 20, MIB), {"64"})
        self.assertEqual(forms(8192 * 8192, 1), {"67108864", "67,108,864"})
        self.assertEqual(forms(3, 1), {"3", "three"})
        self.assertRaises(AssertionError, constant, "src/backend/hang.rs", "NO_SUCH_CONSTANT")


if __name__ == "__main__":
    unittest.main()
