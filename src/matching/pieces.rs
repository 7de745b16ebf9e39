//! Readable text cut into pieces: what matching drops, takes for a blank, or compares.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::letters::is_hyphen;

/// What a piece of readable text means for matching.
pub(super) enum Piece<'t> {
    /// Markup: not there.
    Nothing,
    /// Hyphen, dash or white space.
    Blank,
    /// ASCII letters, digits and signs that stand for themselves, several at once.
    Plain(&'t str),
    /// Anything else: one user-perceived character.
    Glyph(&'t str),
}

/// Cuts readable text into pieces. TeX that [`crate::tex::read`] left in place is dropped here: commands by name,
/// braces, `$`, and accents, whose letter is kept.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (Range<usize>, Piece<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let (length, piece) = first_piece(rest)?;
        let range = at..at + length;
        at = range.end;
        Some((range, piece))
    })
}

fn first_piece(rest: &str) -> Option<(usize, Piece<'_>)> {
    let plain = plain_len(rest.as_bytes());
    if plain > 0 {
        return Some((plain, Piece::Plain(&rest[..plain])));
    }
    let first = rest.chars().next()?;
    Some(match first {
        '\\' => command(rest),
        '$' | '{' | '}' | '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '«' | '»' => {
            (first.len_utf8(), Piece::Nothing)
        }
        '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{2b9}' => (first.len_utf8(), Piece::Glyph("'")),
        // A soft hyphen, zero-width characters and directional marks are invisible.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            (first.len_utf8(), Piece::Nothing)
        }
        '~' => (1, Piece::Blank),
        _ if is_hyphen(first) || first.is_whitespace() || first.is_control() => (first.len_utf8(), Piece::Blank),
        _ => {
            let glyph = rest.graphemes(true).next().unwrap_or(rest);
            (glyph.len(), Piece::Glyph(glyph))
        }
    })
}

/// How many bytes at the beginning stand for themselves.
fn plain_len(bytes: &[u8]) -> usize {
    let n = bytes.iter().take_while(|byte| IS_PLAIN[usize::from(**byte)]).count();
    // A combining mark may follow and belong to the last letter.
    if bytes.get(n).is_some_and(|next| !next.is_ascii()) {
        n.saturating_sub(1)
    } else {
        n
    }
}

/// By byte: whether it is an ASCII character without a meaning of its own here.
const IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = !matches!(byte, b'\\' | b'$' | b'{' | b'}' | b'"' | b'~' | b'-');
        byte += 1;
    }
    table
};

/// Reads what begins with a backslash.
fn command(rest: &str) -> (usize, Piece<'_>) {
    let name = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
    if name > 0 {
        return (1 + name, Piece::Nothing);
    }
    match rest[1..].chars().next() {
        // An accent, or a place where a word may be divided.
        Some('"' | '\'' | '`' | '^' | '~' | '=' | '.' | '-' | '/') => (2, Piece::Nothing),
        Some('&' | '%' | '#' | '_' | '$' | '{' | '}') | None => (1, Piece::Nothing),
        Some(other) if other.is_ascii() => (2, Piece::Blank),
        Some(_) => (1, Piece::Nothing),
    }
}
