//! Line charts as SVG.
//!
//! Written by hand, because a chart here is no more than lines, dots, axes and words: setting up a plotting library
//! takes about as many lines, and this one labels a logarithmic axis of bit rates as people write them.

use std::fmt::Write;

use video_hw_terminal::text;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 360.0;

/// Told apart by most colour-blind people, too (Okabe and Ito).
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// What the horizontal axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Across {
    /// Seconds.
    Time,
    /// Bits per second, on a logarithmic scale.
    BitRate,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// In the order of the horizontal axis; a point that is not finite breaks the line.
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) across: Across,
    pub(crate) up: &'static str,
    pub(crate) series: Vec<Series>,
}

/// The charts, one below the other.
pub(crate) fn svg(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, chart) in charts.iter().enumerate() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * i as f64);
        draw(&mut out, chart);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

/// One axis: the values it covers, and where they lie on the paper.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64, logarithmic: bool) -> Option<Self> {
        let finite = values.filter(|v| v.is_finite() && (!logarithmic || *v > 0.0));
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        // A line along the edge of the paper is hard to see; a single value needs some axis around it.
        let (low, high) = if logarithmic {
            (low / 1.15, high * 1.15)
        } else {
            let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
            (low - room, high + room)
        };
        Some(Self { low, high, from, to, logarithmic })
    }

    fn place(&self, value: f64) -> f64 {
        let scale = |v: f64| if self.logarithmic { v.ln() } else { v };
        let part = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low));
        self.from + part * (self.to - self.from)
    }

    /// Round values, five or so.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            return self.round_rates();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|n| n as f64 * step).take_while(|v| *v <= self.high).take(20).collect()
    }

    /// 1, 2 and 5 of each decade, more of a single one; where that is less than two, its ends.
    fn round_rates(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let steps: &[f64] = if self.high / self.low > 12.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
        };
        let all = (first..=last).flat_map(|power| steps.iter().map(move |m| m * 10_f64.powi(power)));
        let ticks: Vec<_> = all.filter(|v| (self.low..=self.high).contains(v)).collect();
        if ticks.len() < 2 { vec![self.low, self.high] } else { ticks }
    }
}

fn draw(out: &mut String, chart: &Chart) {
    let _ =
        writeln!(out, "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>", text::markup(&chart.title));
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let drawn = || points().filter(|(x, y)| x.is_finite() && y.is_finite());
    let across = Axis::new(drawn().map(|p| p.0), LEFT, RIGHT, chart.across == Across::BitRate);
    let up = Axis::new(drawn().map(|p| p.1), BOTTOM, TOP, false);
    let (Some(across), Some(up)) = (across, up) else {
        let _ =
            writeln!(out, "<text x=\"{LEFT}\" y=\"60\">no finite value: the pictures are identical</text>");
        return;
    };
    grid(out, chart, &across, &up);
    for (i, series) in chart.series.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        line(out, chart.across, series, color, &across, &up);
        let y = TOP + 10.0 + 18.0 * i as f64;
        let name: String = series.name.chars().take(34).collect();
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{color}\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            RIGHT + 15.0,
            y - 6.0,
            RIGHT + 35.0,
            text::markup(&name)
        );
    }
}

fn grid(out: &mut String, chart: &Chart, across: &Axis, up: &Axis) {
    for value in across.ticks() {
        let x = across.place(value);
        let message = match chart.across {
            Across::Time => format!("{} s", short(value)),
            Across::BitRate => text::bit_rate(value),
        };
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{message}</text>",
            BOTTOM + 18.0
        );
    }
    for value in up.ticks() {
        let y = up.place(value);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            short(value)
        );
    }
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#666\"/>",
        RIGHT - LEFT,
        BOTTOM - TOP
    );
    let (x, y) = (18.0, f64::midpoint(TOP, BOTTOM));
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">{}</text>",
        chart.up
    );
}

fn line(out: &mut String, kind: Across, series: &Series, color: &str, across: &Axis, up: &Axis) {
    let mut path = String::new();
    let mut dots = String::new();
    let mut pen = 'M';
    for &(x, y) in &series.points {
        if !(x.is_finite() && y.is_finite()) {
            pen = 'M';
            continue;
        }
        let (x, y) = (across.place(x), up.place(y));
        let _ = write!(path, "{pen}{x:.1} {y:.1}");
        pen = 'L';
        if kind == Across::BitRate {
            let _ = write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
        }
    }
    let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>{dots}");
}

/// Without the zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(across: Across, points: Vec<(f64, f64)>) -> Chart {
        let series = vec![Series { name: "a<b>&\"c\"".to_owned(), points }];
        Chart { title: "T & \u{1}".to_owned(), across, up: "dB", series }
    }

    #[test]
    fn values_land_where_they_belong() {
        let axis = Axis::new([1e6, 4e6].into_iter(), 0.0, 100.0, true).unwrap();
        assert!((axis.place(2e6) - 50.0).abs() < 1e-9);
        assert_eq!(axis.ticks(), [1e6, 1.5e6, 2e6, 3e6, 4e6]);
        let axis = Axis::new([30.0, 40.0].into_iter(), 100.0, 0.0, false).unwrap();
        assert!(axis.place(40.0) < axis.place(30.0));
        assert_eq!(axis.ticks(), [30.0, 35.0, 40.0]);
    }

    #[test]
    fn names_are_escaped_and_gaps_break_the_line() {
        let points = vec![(0.0, 30.0), (1.0, f64::INFINITY), (2.0, 31.0)];
        let text = svg(&[chart(Across::Time, points)]);
        assert!(text.contains("a&lt;b&gt;&amp;&quot;c&quot;") && !text.contains('\u{1}'));
        let path = text.lines().find(|l| l.contains("stroke-width=\"1.5\"")).unwrap();
        assert_eq!(path.matches('M').count(), 2);
        assert!(!text.contains("inf") && !text.contains("NaN"));
    }

    #[test]
    fn hostile_numbers_make_no_broken_chart() {
        for points in [
            vec![],
            vec![(f64::NAN, 1.0)],
            vec![(1e6, f64::INFINITY)],
            vec![(0.0, 5.0)],
            vec![(1e-300, 0.0), (1e300, 0.0)],
            vec![(5e5, 40.0)],
        ] {
            for across in [Across::Time, Across::BitRate] {
                let text = svg(&[chart(across, points.clone())]);
                assert!(!text.contains("NaN") && !text.contains("inf\""), "{points:?}: {text}");
                assert!(text.ends_with("</svg>\n"));
            }
        }
    }
}
