"""The chart of the README is what the records say."""

import importlib.util
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("readme_chart", HERE / "readme-chart.py")
readme_chart = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(readme_chart)


class Chart(unittest.TestCase):
    def test_the_committed_picture_is_the_one_that_the_script_draws(self):
        self.assertEqual(readme_chart.CHART.read_text(), readme_chart.chart(), "run scripts/readme-chart.py")

    def test_it_is_well_formed_and_has_light_and_dark_colours(self):
        picture = readme_chart.chart()
        self.assertEqual(xml.fromstring(picture).tag, "{http://www.w3.org/2000/svg}svg")
        self.assertIn("prefers-color-scheme: dark", picture)

    def test_the_page_of_the_measurement_has_every_figure(self):
        page = (HERE.parent / "docs/bench/h200.md").read_text()
        for codec in readme_chart.CODECS:
            for _, _, name, _, fps in readme_chart.figures(codec):
                self.assertIn(f"{fps:,}", page, name)

    def test_bars_are_as_long_as_the_table_says(self):
        with tempfile.TemporaryDirectory() as folder:
            records = pathlib.Path(folder)
            for file, sections in self.tables().items():
                (records / file).parent.mkdir(exist_ok=True)
                (records / file).write_text(sections)
            shape = "{http://www.w3.org/2000/svg}rect"
            bars = [r for r in xml.fromstring(readme_chart.chart(records)).iter(shape) if r.get("class") != "back"]
            lengths = [float(bar.get("width")) for bar in bars]
            full = readme_chart.WIDTH - readme_chart.LEFT - readme_chart.RIGHT
            self.assertEqual(lengths, [round(full * fps / 6000, 1) for fps in range(500, 6001, 500)])

    def test_a_row_that_is_not_there_is_an_error(self):
        with self.assertRaises(ValueError):
            readme_chart.figure(readme_chart.RECORDS / readme_chart.ONE, "a-h264", "no such row")

    @staticmethod
    def tables():
        """Tables with 500 frames a second for the first bar and 500 more for each further one."""
        found, fps = {}, 0
        for codec in readme_chart.CODECS:
            for _, _, _, file, case, row in readme_chart.BARS:
                fps += 500
                file = file.format(codec=codec)
                found[file] = found.get(file, "") + f"## {case}-{codec}: title\n\n| {row} | 3 | {fps:,} | 1 | 2 |\n\n"
        return found
