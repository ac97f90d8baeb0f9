"""Templates of package managers, archives' names and third-party licences."""

import hashlib
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import notices  # noqa: E402
import package_managers as packaging  # noqa: E402

RELEASE = (ROOT / ".github/workflows/release.yml").read_text()
TARGETS = re.findall(r"target: ([\w-]+) }", RELEASE)


class Packaging(unittest.TestCase):
    def test_templates_are_filled_from_the_archives_of_the_release_job(self):
        self.assertEqual(len(TARGETS), 5)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for target in TARGETS:
                end = "zip" if "windows" in target else "tar.gz"
                archive = folder / f"video-hw-1.2.3-{target}.{end}"
                archive.write_text(target)
                archive.with_name(archive.name + ".sha256").write_text("not an archive")
            packaging.write(folder, "https://example.org/a/b", "a", folder / "out")
            made = {path.name: path.read_text() for path in (folder / "out").iterdir()}
        names = ["SHA256SUMS", "a.video-hw.installer.yaml", "a.video-hw.locale.en-US.yaml", "a.video-hw.yaml", "video-hw.rb"]
        self.assertEqual(sorted(made), names)
        for text in made.values():
            self.assertNotRegex(text, packaging.MARK)
        for target in TARGETS:
            digest = hashlib.sha256(target.encode()).hexdigest()
            self.assertIn(digest, made["SHA256SUMS"])
            place = "a.video-hw.installer.yaml" if "windows" in target else "video-hw.rb"
            self.assertRegex(made[place], rf'(?s)/releases/download/v1\.2\.3/video-hw-1\.2\.3-{target}\.(zip|tar\.gz)"\s+\S+ "{digest}"')

    def test_what_is_missing_is_an_error(self):
        with self.assertRaises(KeyError):
            packaging.filled("@SHA256:no-such-target@", {}, {})
        with tempfile.TemporaryDirectory() as name, self.assertRaises(SystemExit):
            packaging.archives(pathlib.Path(name))

    def test_versions_before_a_release_have_archives_too(self):
        self.assertEqual(packaging.ARCHIVE.match("video-hw-1.0.0-rc.1-x86_64-apple-darwin.tar.gz").groups(), ("1.0.0-rc.1", "x86_64-apple-darwin"))

    def test_binstall_asks_for_archives_as_they_are_named(self):
        text = (ROOT / "cli/Cargo.toml").read_text()
        self.assertIn("/releases/download/v{ version }/video-hw-{ version }-{ target }.tar.gz", text)
        self.assertIn('bin-dir = "video-hw-{ version }-{ target }/{ bin }{ binary-ext }"', text)


class Notices(unittest.TestCase):
    def package(self, folder, name, licence, files=()):
        place = folder / name
        place.mkdir()
        for file, text in dict(files).items():
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_text(text)
        return {"name": name, "version": "1", "license": licence, "manifest_path": str(place / "Cargo.toml"), "authors": [], "repository": None}

    def test_a_crate_without_its_words_is_found(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            a = self.package(folder, "a", "MIT", {"LICENSE": "Words of  MIT"})
            b = self.package(folder, "b", "MIT OR Apache-2.0", {"LICENSE-MIT": "Words of\nMIT", "license.rs": "code"})
            c = self.package(folder, "c", "MIT")
            d = self.package(folder, "d", "BSD-2-Clause")
            e = self.package(folder, "e", "BSD-2-Clause", {"upstream/LICENSE": "Others' words"})
            found, without, unknown = notices.notices([a, b, c, d])
            self.assertEqual([users for _, users in found.values()], [["a 1 (LICENSE)", "b 1 (LICENSE-MIT)"]])
            self.assertEqual([p["name"] for p in without], ["c", "d"])
            self.assertEqual([p["name"] for p in unknown], ["d"])
            self.assertEqual(list(notices.texts(e)), [("upstream/LICENSE", "Others' words")])
            self.assertEqual(notices.notices([c, d, e])[2], [c])


if __name__ == "__main__":
    unittest.main()
