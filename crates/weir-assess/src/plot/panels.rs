//! The four panels, each in a box of its own with a title and labelled axes.

use std::fmt::Write as _;

use super::Picture;

/// The box of a panel, and within it that of its marks.
const PANEL: (f64, f64) = (490.0, 380.0);
const LEFT: f64 = 76.0;
const TOP: f64 = 50.0;
const PLOT: (f64, f64) = (404.0, 270.0);
/// Of the lag plot, which is a square, and its cells a side.
const SQUARE: f64 = 270.0;
const CELLS: usize = 64;
/// Standard deviations that hold 99.9 % of a normal variable.
const BAND: f64 = 3.290_526_731_491_9;

/// A panel under way.
pub(super) struct Panel<'a> {
    svg: &'a mut String,
}

impl<'a> Panel<'a> {
    pub(super) fn new(svg: &'a mut String, x: f64, y: f64) -> Self {
        let _ = write!(svg, "<g transform=\"translate({x} {y})\">");
        Self { svg }
    }

    pub(super) fn end(self) {
        self.svg.push_str("</g>\n");
    }

    fn title(&mut self, title: &str, says: &str) {
        self.text("panel", 0.0, 16.0, title);
        self.text("faint", 0.0, 34.0, says);
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = write!(self.svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"/>"
        );
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.svg,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// What the horizontal axis counts.
    fn below(&mut self, text: &str, width: f64) {
        self.text("faint middle", LEFT + width / 2.0, TOP + PLOT.1 + 38.0, text);
    }

    /// What the vertical axis counts.
    fn beside(&mut self, text: &str) {
        let middle = TOP + PLOT.1 / 2.0;
        let _ = write!(
            self.svg,
            "<text class=\"faint middle\" transform=\"translate(10 {middle:.1}) rotate(-90)\">{text}</text>"
        );
    }

    /// Rules and labels of a vertical axis.
    fn vertical(&mut self, scale: &Scale, ticks: &[f64], label: impl Fn(f64) -> String) {
        for tick in ticks {
            let y = scale.y(*tick);
            self.line("rule", (LEFT, y), (LEFT + PLOT.0, y));
            self.text("faint end", LEFT - 6.0, y + 4.0, &label(*tick));
        }
    }

    fn base(&mut self, width: f64) {
        self.line("axis", (LEFT, TOP + PLOT.1), (LEFT + width, TOP + PLOT.1));
    }
}

/// A vertical axis.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        TOP + PLOT.1 * (1.0 - ((value - self.least) / (self.most - self.least)).clamp(0.0, 1.0))
    }

    /// Round numbers within it, about five.
    fn ticks(&self) -> Vec<f64> {
        let span = self.most - self.least;
        let power = 10f64.powf((span / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|step| span / step <= 6.0);
        let step = step.unwrap_or(span);
        let first = (self.least / step).ceil() as i64;
        (first..)
            .map(|at| at as f64 * step)
            .take_while(|tick| *tick <= self.most * 1.000_001)
            .take(12)
            .collect()
    }
}

fn counts(picture: &Picture) -> Vec<u64> {
    let mut counts = vec![0; 1 << picture.bits];
    for sample in picture.samples {
        if let Some(count) = counts.get_mut(usize::from(*sample)) {
            *count += 1;
        }
    }
    counts
}

/// How often each symbol came.
pub(super) fn distribution(panel: &mut Panel, picture: &Picture) {
    panel.title("Symbols", "how often each value came; even frequencies lie between the dashed lines");
    let counts = counts(picture);
    let n = picture.samples.len() as f64;
    let even = n / counts.len() as f64;
    let spread = BAND * (even * (1.0 - 1.0 / counts.len() as f64)).sqrt();
    let most = counts.iter().max().map_or(0.0, |most| *most as f64).max(even + spread);
    // Where all counts are close together, zero is out of the picture: the differences are what matters.
    let least = counts.iter().min().map_or(0.0, |least| *least as f64).min(even - spread);
    let least = if least > 0.6 * most { least - 0.5 * (most - least) } else { 0.0 };
    let scale = Scale { least, most: most + 0.08 * (most - least) };
    panel.vertical(&scale, &scale.ticks(), thousands);
    let width = PLOT.0 / counts.len() as f64;
    let gap = if width > 6.0 { width * 0.15 } else { 0.0 };
    let bottom = TOP + PLOT.1;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let y = scale.y(*count as f64);
        panel.rect("mark", LEFT + at as f64 * width + gap, y, (width - 2.0 * gap).max(0.8), bottom - y);
    }
    for edge in [even - spread, even + spread] {
        panel.line("line", (LEFT, scale.y(edge)), (LEFT + PLOT.0, scale.y(edge)));
    }
    panel.base(PLOT.0);
    let last = counts.len() - 1;
    let labels = if last < 16 {
        (0..=last).collect()
    } else {
        vec![0, last.div_ceil(4), last.div_ceil(2), 3 * last.div_ceil(4), last]
    };
    for at in labels {
        panel.text("faint middle", LEFT + (at as f64 + 0.5) * width, bottom + 18.0, &at.to_string());
    }
    panel.below("value of a sample", PLOT.0);
    panel.beside(if scale.least > 0.0 { "samples (axis does not begin at 0)" } else { "samples" });
}

/// The share of ones in each bit.
pub(super) fn balance(panel: &mut Panel, picture: &Picture) {
    panel.title("Bit balance", "share of ones in each bit; the band is where a fair bit would lie");
    let n = picture.samples.len() as f64;
    let shares: Vec<f64> = (0..picture.bits)
        .map(|bit| picture.samples.iter().map(|sample| u64::from(sample >> bit & 1)).sum::<u64>() as f64 / n)
        .collect();
    let spread = BAND * 0.5 / n.sqrt();
    let farthest = shares.iter().map(|share| (share - 0.5).abs()).fold(0.0, f64::max);
    let reach = (1.25 * farthest.max(spread)).min(0.5);
    let scale = Scale { least: 0.5 - reach, most: 0.5 + reach };
    let digits = (2.0 - reach.log10()).clamp(1.0, 7.0) as usize - 1;
    panel.vertical(&scale, &scale.ticks(), |tick| {
        format!("{:.digits$} %", 100.0 * tick, digits = digits.saturating_sub(1))
    });
    panel.rect("band", LEFT, scale.y(0.5 + spread), PLOT.0, scale.y(0.5 - spread) - scale.y(0.5 + spread));
    panel.line("axis", (LEFT, scale.y(0.5)), (LEFT + PLOT.0, scale.y(0.5)));
    let width = PLOT.0 / f64::from(picture.bits);
    for (bit, share) in shares.iter().rev().enumerate() {
        let (x, y) = (LEFT + (bit as f64 + 0.5) * width, scale.y(*share));
        let class = if (share - 0.5).abs() > spread { "other" } else { "mark" };
        let (top, height) =
            if y < scale.y(0.5) { (y, scale.y(0.5) - y) } else { (scale.y(0.5), y - scale.y(0.5)) };
        panel.rect(class, x - 9.0, top, 18.0, height.max(1.5));
        let name = picture.bits as usize - 1 - bit;
        panel.text("faint middle", x, TOP + PLOT.1 + 18.0, &name.to_string());
    }
    panel.base(PLOT.0);
    panel.below("bit, the most significant on the left", PLOT.0);
    panel.beside("ones");
}

/// Which value follows which.
pub(super) fn lag(panel: &mut Panel, picture: &Picture) {
    panel.title("Lag plot", "which value follows which; the stronger the colour, the more often");
    let cells = CELLS.min(1 << picture.bits);
    let shift = picture.bits - cells.ilog2();
    let mut counts = vec![0u64; cells * cells];
    for (a, b) in picture.samples.iter().zip(picture.samples.get(1..).unwrap_or_default()) {
        let at = usize::from(a >> shift) * cells + usize::from(b >> shift);
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
    let most = counts.iter().max().map_or(1.0, |most| (*most).max(1) as f64);
    let side = SQUARE / cells as f64;
    let (mut rects, mut last) = (0, None);
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        // The root, so that what is rare can be seen beside what is frequent; fifty shades.
        let shade = ((*count as f64 / most).sqrt() * 50.0).ceil() / 50.0;
        let (x, y) = ((at / cells) as f64, (at % cells) as f64);
        if last != Some(shade) {
            let close = if last.is_some() { "</g>" } else { "" };
            let _ = write!(
                panel.svg,
                "{close}<g class=\"dense\" shape-rendering=\"crispEdges\" fill-opacity=\"{shade:.2}\">"
            );
            last = Some(shade);
        }
        let _ = write!(
            panel.svg,
            "<path d=\"M{:.2} {:.2}h{side:.2}v{side:.2}h-{side:.2}z\"/>",
            LEFT + x * side,
            TOP + SQUARE - (y + 1.0) * side
        );
        rects += 1;
    }
    if rects > 0 {
        panel.svg.push_str("</g>");
    }
    panel.base(SQUARE);
    panel.line("axis", (LEFT, TOP), (LEFT, TOP + SQUARE));
    let last = (1usize << picture.bits) - 1;
    for (at, value) in [(0.0, 0), (0.5, last.div_ceil(2)), (1.0, last)] {
        let at = (SQUARE - side) * at + side / 2.0;
        panel.text("faint middle", LEFT + at, TOP + SQUARE + 18.0, &value.to_string());
        panel.text("faint end", LEFT - 6.0, TOP + SQUARE - at + 4.0, &value.to_string());
    }
    panel.below("value of a sample", SQUARE);
    panel.beside("value of the next");
    legend(panel, most, picture.samples.len().saturating_sub(1) as f64 / (cells * cells) as f64);
}

fn legend(panel: &mut Panel, most: f64, mean: f64) {
    let x = LEFT + SQUARE + 24.0;
    panel.text("faint", x, TOP + 12.0, "pairs a cell");
    for step in 0..5 {
        let share = 1.0 - f64::from(step) / 4.0;
        let y = TOP + 24.0 + 22.0 * f64::from(step);
        let _ = write!(panel.svg, "<g class=\"dense\" fill-opacity=\"{share:.2}\">");
        panel.rect("dense", x, y, 22.0, 22.0);
        panel.svg.push_str("</g>");
        panel.text("faint", x + 30.0, y + 15.0, &thousands((share * share * most).round()));
    }
    panel.text("faint", x, TOP + 156.0, &format!("on average {mean:.1}"));
}

/// The estimators' bars.
pub(super) fn estimates(panel: &mut Panel, picture: &Picture) {
    panel.title("Min-entropy", "SP 800-90B, bits a sample, by estimator; the least counts");
    if picture.estimates.is_empty() {
        panel.text("faint", 0.0, TOP + 30.0, "not assessed");
        return;
    }
    const NAMES: f64 = 170.0;
    let width = PANEL.0 - NAMES - 60.0;
    let most = f64::from(picture.bits);
    let x = |bits: f64| NAMES + width * (bits / most).clamp(0.0, 1.0);
    let height = PLOT.1 / picture.estimates.len() as f64;
    for tick in (0..=picture.bits).filter(|tick| picture.bits < 5 || tick % 2 == 0) {
        let at = x(f64::from(tick));
        panel.line("rule", (at, TOP), (at, TOP + PLOT.1));
        panel.text("faint middle", at, TOP + PLOT.1 + 18.0, &tick.to_string());
    }
    for (at, bar) in picture.estimates.iter().enumerate() {
        let y = TOP + at as f64 * height;
        let thick = (height * 0.68).min(22.0);
        let top = y + (height - thick) / 2.0;
        let (class, stream) = if bar.of_bits { ("other", "bits") } else { ("mark", "symbols") };
        panel.rect(class, NAMES, top, (x(bar.bits_per_symbol) - NAMES).max(1.0), thick);
        let name =
            bar.name.trim_end_matches(" Estimate").trim_end_matches(" Test").trim_end_matches(" Prediction");
        panel.text("end", NAMES - 8.0, top + thick / 2.0 + 4.0, &format!("{name}, {stream}"));
        panel.text("faint", PANEL.0 - 50.0, top + thick / 2.0 + 4.0, &format!("{:.3}", bar.bits_per_symbol));
    }
    panel.line("axis", (NAMES, TOP), (NAMES, TOP + PLOT.1));
    if let Some(assessed) = picture.assessed {
        panel.line("line", (x(assessed), TOP - 4.0), (x(assessed), TOP + PLOT.1));
        panel.text(
            "faint middle",
            NAMES + width / 2.0,
            TOP + PLOT.1 + 38.0,
            &format!("bits a sample; assessed {assessed:.3}"),
        );
    }
}

/// A count, short.
pub(super) fn thousands(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.4} M", value / 1e6).replace(".0000 M", " M"),
        value if value >= 10_000.0 => format!("{:.1} k", value / 1e3).replace(".0 k", " k"),
        value => format!("{value:.0}"),
    }
}
