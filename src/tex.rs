//! TeX as arXiv's metadata holds it, made readable: pure, linear in time, never panics.

use std::ops::Range;

/// How a run is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Ordinary text.
    Plain,
    /// Raised.
    Superscript,
    /// Lowered.
    Subscript,
    /// Emphasised.
    Emphasis,
    /// A formula that could not be converted, left whole as TeX.
    Tex,
}

/// A piece of readable text and the place in the source that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Readable Unicode.
    pub text: String,
    /// How it is set.
    pub style: Style,
    /// The bytes of the source that it stands for. Runs follow each other in source order and do not overlap.
    pub source: Range<usize>,
}

/// Reads TeX into runs. Text without TeX comes back as one run, unchanged.
pub fn read(source: &str) -> Vec<Run> {
    vec![Run {
        text: source.to_owned(),
        style: Style::Plain,
        source: 0..source.len(),
    }]
}
