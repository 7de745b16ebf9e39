//! The colours of the mail. Every text colour reads at 4.5:1 or more on the ground it stands on.

use serde::Serialize;

use super::kept::CONSTANTS;

/// One scheme's colours as `#rrggbb` (hexadecimal only: Gmail drops whole style attributes over other notations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Scheme {
    /// Tells templates that it is always the same (see [`super::kept::remember`]).
    pub(super) number: u64,
    /// The page.
    pub(super) ground: &'static str,
    /// Running text and headings.
    pub(super) ink: &'static str,
    /// Authors, dates and other secondary text.
    pub(super) muted: &'static str,
    /// A paper's title.
    pub(super) title: &'static str,
    /// The line under a title; decorative, the title differs by weight and size as well.
    pub(super) underline: &'static str,
    /// Other links.
    pub(super) link: &'static str,
    /// The tint behind a matched word.
    pub(super) hit_ground: &'static str,
    /// A matched word in running text.
    pub(super) hit: &'static str,
    /// A matched word in a title.
    pub(super) hit_title: &'static str,
    /// The tint behind a venue.
    pub(super) venue_ground: &'static str,
    /// A venue.
    pub(super) venue: &'static str,
    /// The tint behind further keywords.
    pub(super) also_ground: &'static str,
    /// Further keywords.
    pub(super) also: &'static str,
    /// The line between two papers; decorative.
    pub(super) hairline: &'static str,
    /// The line that opens a section; decorative.
    pub(super) rule: &'static str,
    /// Something incomplete.
    pub(super) alarm: &'static str,
}

/// On white.
pub(super) const LIGHT: Scheme = Scheme {
    number: CONSTANTS[0],
    ground: "#ffffff",
    ink: "#1b2026",
    muted: "#55606b",
    title: "#123f8c",
    underline: "#7b96cc",
    link: "#0b4fb3",
    hit_ground: "#fff4cc",
    hit: "#1b2026",
    hit_title: "#123f8c",
    venue_ground: "#e2f2e9",
    venue: "#0c573a",
    also_ground: "#eceff3",
    also: "#465059",
    hairline: "#dde2e7",
    rule: "#1b2026",
    alarm: "#8a4b00",
};

/// Where the reader's client says that it is dark and lets us choose.
pub(super) const DARK: Scheme = Scheme {
    number: CONSTANTS[1],
    ground: "#13171c",
    ink: "#e3e7eb",
    muted: "#a4afba",
    title: "#a8c7ff",
    underline: "#56709f",
    link: "#8ab4ff",
    hit_ground: "#3d3413",
    hit: "#f6e3a6",
    hit_title: "#f6e3a6",
    venue_ground: "#16352a",
    venue: "#a6e3c3",
    also_ground: "#29323b",
    also: "#c3ccd4",
    hairline: "#2b333b",
    rule: "#9aa5b0",
    alarm: "#f0b775",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_reads_on_its_ground_in_both_schemes() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        for scheme in [LIGHT, DARK] {
            for (text, ground) in [
                (scheme.ink, scheme.ground),
                (scheme.muted, scheme.ground),
                (scheme.title, scheme.ground),
                (scheme.link, scheme.ground),
                (scheme.alarm, scheme.ground),
                (scheme.hit, scheme.hit_ground),
                (scheme.hit_title, scheme.hit_ground),
                (scheme.venue, scheme.venue_ground),
                (scheme.also, scheme.also_ground),
            ] {
                let ratio = contrast(text, ground);
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
            assert!(contrast(scheme.underline, scheme.ground) >= 2.9);
        }
    }
}
