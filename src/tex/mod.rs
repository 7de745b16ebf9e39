//! TeX as arXiv's metadata holds it, made readable: pure, linear in time, never panics.
//!
//! [`read`] splits a title or an abstract into [`Run`]s of readable Unicode, each with the place in the
//! source that it stands for; [`to_text`] and [`to_html`] set the runs. What is not understood stays as it
//! was written: a formula with anything unknown in it as a whole ([`Style::Tex`]), a macro in running text
//! together with its arguments. Nothing is converted by half.
//!
//! For matching, join the texts of the runs without anything between them: `$\textbf{R}einforcement$` gives
//! the adjacent runs `R` and `einforcement`. A run of [`Style::Tex`] carries its raw TeX. Letters of
//! formulas need NFKC (𝒪, ℝ, ₂), and a minus is U+2212. A run whose text
//! equals its slice of the source can be addressed byte by byte; any other run only as a whole.

mod accents;
#[cfg(test)]
mod by_hand;
mod html;
mod math;
mod pieces;
mod prose;
mod scan;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;

use self::pieces::Pieces;
use self::scan::Scan;

pub use self::html::{runs_to_html, to_html};

/// A source longer than this, in bytes, is not read as TeX. arXiv takes abstracts of 1,920 characters.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// How deep groups may nest; what lies deeper is left as TeX.
const DEPTH_MAX: usize = 24;

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
    /// The bytes of the source that it stands for. Runs follow each other in source order and do not overlap;
    /// between them lies markup. Punctuation that is nowhere in the source, such as the brackets round a
    /// denominator, has an empty range.
    pub source: Range<usize>,
}

/// Reads TeX into runs. Text without TeX comes back as one run, unchanged.
pub fn read(source: &str) -> Vec<Run> {
    let mut pieces = Pieces::new(source);
    if source.len() > SOURCE_BYTES_MAX || !may_hold_markup(source) {
        pieces.push(source, Style::Plain, 0..source.len());
    } else {
        let scan = Scan::new(source);
        prose::read_prose(&scan, &mut pieces, 0..source.len(), Style::Plain, 0);
    }
    pieces.into_runs()
}

/// Whether anything in it can be TeX: most titles have nothing, and need no closer look. A script without dollar signs
/// has braces, and a closing quote counts only after a backtick.
fn may_hold_markup(source: &str) -> bool {
    let mut before = 0;
    source.bytes().any(|byte| {
        let dashes = byte == b'-' && before == b'-';
        before = byte;
        dashes || matches!(byte, b'\\' | b'$' | b'{' | b'`' | b'~')
    })
}

/// The source as plain text, for the text part of a mail, a subject or a log line.
///
/// A script that has no glyphs is marked as in TeX: `n^(2/3)`, `x_(max)`.
pub fn to_text(source: &str) -> String {
    runs_to_text(&read(source))
}

/// The runs as plain text; see [`to_text`].
pub fn runs_to_text(runs: &[Run]) -> String {
    let mut text = String::with_capacity(runs.iter().map(|run| run.text.len() + 3).sum());
    for run in runs {
        let sign = match run.style {
            Style::Plain | Style::Emphasis | Style::Tex => {
                text.push_str(&run.text);
                continue;
            }
            Style::Superscript => '^',
            Style::Subscript => '_',
        };
        text.push(sign);
        if run.text.chars().nth(1).is_some() && !is_in_brackets(&run.text) {
            text.push('(');
            text.push_str(&run.text);
            text.push(')');
        } else {
            text.push_str(&run.text);
        }
    }
    text
}

/// Whether one pair of brackets stands round all of it.
pub(crate) fn is_in_brackets(text: &str) -> bool {
    let inside = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inside.is_some_and(|inside| !inside.contains(['(', ')']))
}

/// An author's name with its accents converted. Formulas, hyphens and quotes stay as they are.
pub fn name(source: &str) -> String {
    if source.len() > SOURCE_BYTES_MAX || !source.contains(['\\', '~']) {
        return source.to_owned();
    }
    let scan = Scan::new(source);
    let mut pieces = Pieces::new(source);
    prose::read_name(&scan, &mut pieces, 0..source.len(), 0);
    runs_to_text(&pieces.into_runs())
}
