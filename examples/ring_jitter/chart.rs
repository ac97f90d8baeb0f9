//! Two charts as SVG, one below the other: intervals in and out, and what the ring held.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const PANEL: f64 = 260.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 870.0;
/// Room above and below the axes of a panel.
const ABOVE: f64 = 36.0;
const BELOW: f64 = 34.0;

/// Points over seconds.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) up: &'static str,
    pub(crate) series: Vec<Series>,
}

pub(crate) fn svg(panels: &[Panel], seconds: f64) -> String {
    let height = PANEL * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, PANEL * number as f64, seconds.max(0.001));
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, offset: f64, seconds: f64) {
    let (top, bottom) = (offset + ABOVE, offset + PANEL - BELOW);
    let most =
        panel.series.iter().flat_map(|series| &series.points).fold(1.0_f64, |most, (_, y)| most.max(*y));
    let step = step(most);
    let high = (most / step).ceil() * step;
    let across = |x: f64| LEFT + x / seconds * (RIGHT - LEFT);
    let up = |y: f64| bottom - y / high * (bottom - top);
    // Writing to a string cannot fail, here and below.
    let _ =
        writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"14\">{}</text>", top - 14.0, panel.title);
    for tick in 0..=(high / step).round() as u32 {
        let value = f64::from(tick) * step;
        let y = up(value);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let every = self::step(seconds);
    for tick in 0..=(seconds / every) as u32 {
        let x = across(f64::from(tick) * every);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
            bottom + 18.0,
            f64::from(tick) * every
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"14\" y=\"{:.1}\" transform=\"rotate(-90 14 {0:.1})\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(top, bottom),
        panel.up
    );
    let mut right = RIGHT;
    for series in &panel.series {
        let points: Vec<_> =
            series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.3\"/>",
            points.join(" "),
            series.color
        );
        let _ = writeln!(
            out,
            "<text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{}\">{}</text>",
            top - 14.0,
            series.color,
            series.name
        );
        right -= 16.0 + 6.5 * series.name.len() as f64;
    }
}

/// 1, 2 or 5 of a power of ten: about six of them go into `most`.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 6.0).log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power * 6.0 >= most);
    times.unwrap_or(10.0) * power
}
