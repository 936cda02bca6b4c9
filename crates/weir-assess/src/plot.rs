//! A picture of samples, as SVG: how symbols and bits are distributed, which follows which, what each estimator says.
//!
//! Purpose: what a person sees at a glance and a p-value does not say: *how* a source is bad.
//!
//! Contract: a document of bounded size, whatever the samples; no script, no font, no link, nothing from outside; readable on light and
//! dark grounds by the reader's own preference. Names are escaped.
//!
//! Deliberately absent: verdicts. Bands and dashed lines show where 99.9 % of healthy sources lie, for one mark each.

mod panels;

use std::fmt::Write as _;

use panels::Panel;

/// An estimator's result.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The estimator.
    pub name: &'static str,
    /// Whether it looked at the bits of the samples.
    pub of_bits: bool,
    /// Its min-entropy, bits a sample.
    pub bits_per_symbol: f64,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// The title: what was assessed.
    pub name: &'a str,
    /// Samples, one a byte.
    pub samples: &'a [u8],
    /// Bits of a sample, 1 to 8.
    pub bits: u32,
    /// By estimator; empty if none was asked.
    pub estimates: &'a [Bar],
    /// The least of them, bits a sample.
    pub assessed: Option<f64>,
}

const WIDTH: f64 = 1120.0;
const HEIGHT: f64 = 900.0;

/// Colours by role, for light and dark grounds; the two of marks differ in lightness too, for those who see no colours. Written
/// out at each rule, since many programs that draw SVG know no variables.
const STYLE: &str = "\
text{font-family:system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:12px;fill:#22272e}\
.title{font-size:20px;font-weight:600}.panel{font-size:14px;font-weight:600}.faint{fill:#6b7280}\
.end{text-anchor:end}.middle{text-anchor:middle}\
.ground{fill:#fdfdfb}.rule{stroke:#d9dce1;stroke-width:1}.axis{stroke:#6b7280;stroke-width:1}\
.mark{fill:#2f6f9f}.other{fill:#c4762c}.band{fill:#2f6f9f;fill-opacity:.13}.dense{fill:#1d4e74}\
.line{stroke:#22272e;stroke-width:1.5;stroke-dasharray:4 3}\
@media (prefers-color-scheme:dark){text{fill:#e4e7eb}.faint{fill:#98a1ad}.ground{fill:#14181d}.rule{stroke:#333b45}\
.axis{stroke:#98a1ad}.mark{fill:#6fb1e0}.other{fill:#e8a45c}.band{fill:#6fb1e0;fill-opacity:.18}.dense{fill:#9fd0f5}\
.line{stroke:#e4e7eb}}";

/// Draws the picture.
pub fn draw(picture: &Picture) -> String {
    let mut svg = String::with_capacity(1 << 18);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"Distribution, bit balance, lag plot and min-entropy\">\
         <style>{STYLE}</style><rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>"
    );
    let (name, count) = (escaped(picture.name), panels::thousands(picture.samples.len() as f64));
    let bits = if picture.bits == 1 { "1 bit".to_owned() } else { format!("{} bits", picture.bits) };
    let _ = write!(svg, "<text class=\"title\" x=\"40\" y=\"42\">{name}</text>");
    let _ = write!(
        svg,
        "<text class=\"faint\" x=\"40\" y=\"64\">the first {count} samples, of {bits} each; 99.9 % of healthy sources lie within the bands, mark by mark</text>"
    );
    let places = [(40.0, 90.0), (590.0, 90.0), (40.0, 490.0), (590.0, 490.0)];
    let draw: [fn(&mut Panel, &Picture); 4] =
        [panels::distribution, panels::balance, panels::lag, panels::estimates];
    for ((x, y), draw) in places.into_iter().zip(draw) {
        let mut panel = Panel::new(&mut svg, x, y);
        if !picture.samples.is_empty() {
            draw(&mut panel, picture);
        }
        panel.end();
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text for XML, of at most 90 characters and none that XML forbids.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for (at, character) in text.chars().enumerate() {
        match character {
            _ if at == 90 => {
                escaped.push('…');
                break;
            }
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('�')
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(name: &str, samples: &[u8], bits: u32) -> String {
        let bar = Bar { name: "Most Common Value Estimate", of_bits: true, bits_per_symbol: 1.0 };
        draw(&Picture { name, samples, bits, estimates: &[bar], assessed: Some(1.0) })
    }

    #[test]
    fn a_picture_is_bounded_and_free_of_what_the_name_says() {
        let samples: Vec<u8> = (0..60_000u32).map(|at| (at.pow(2) >> 7) as u8).collect();
        for bits in 1..=8 {
            let samples: Vec<u8> = samples.iter().map(|sample| sample >> (8 - bits)).collect();
            let svg = picture("</text><script>&\u{1b}", &samples, bits);
            assert!(svg.len() < 1 << 20 && !svg.contains("<script") && !svg.contains('\u{1b}'));
            assert!(svg.contains("&lt;/text>&lt;script>&amp;\u{fffd}"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        }
        for samples in [&[][..], &[7], &[0, 0], &[255; 1000]] {
            let svg = picture("x", samples, 8);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
