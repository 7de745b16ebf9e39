//! A title or an abstract on its way from TeX with marks to HTML and to plain text.
//!
//! All use of [`crate::tex`] in the mail goes through here.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{
    clean::{escape_into, fitting, head, is_banned},
    palette::LIGHT,
};
use crate::tex::{self, Style};

/// How many marks one text shows; further matches stay unmarked, so that a text made of keywords stays small.
pub(super) const MARKS_MAX: usize = 16;

/// How much of a text is read at all, in bytes: several times the longest abstract that arXiv takes.
const SOURCE_BYTES_MAX: usize = 16_000;

/// What the ground of a mark is laid under: it decides the colour of the marked words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A title, which is a link.
    Title,
    /// Running text.
    Body,
}

/// Readable text in pieces, cleaned of control characters, line feeds kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prose {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    style: Style,
    is_marked: bool,
}

impl Prose {
    /// Reads TeX and lays the marks (ranges of bytes of `source`) over what came of it.
    ///
    /// A mark that begins or ends inside something that was converted covers all of it.
    /// Of a text longer than [`SOURCE_BYTES_MAX`] only the beginning is read.
    pub(super) fn read(source: &str, marks: &[Range<usize>]) -> Self {
        let (whole, source) = (source.len(), head(source, SOURCE_BYTES_MAX));
        let marks = merged(marks, source.len());
        let mut prose = Self::default();
        for run in tex::read(source) {
            if source.get(run.source.clone()) == Some(run.text.as_str()) {
                prose.push_split(&run.text, run.style, run.source.start, &marks);
            } else {
                let is_marked = marks
                    .iter()
                    .any(|mark| mark.start < run.source.end && run.source.start < mark.end);
                prose.push(&run.text, run.style, is_marked);
            }
        }
        if source.len() < whole {
            prose.append("\u{a0}…");
        }
        prose
    }

    fn push_split(&mut self, text: &str, style: Style, offset: usize, marks: &[Range<usize>]) {
        let mut at = 0;
        for mark in marks {
            let begin = mark.start.saturating_sub(offset).clamp(at, text.len());
            let end = mark.end.saturating_sub(offset).clamp(at, text.len());
            // A mark that cuts a character would be the matcher's mistake; it is left out rather than trusted.
            if begin < end && text.is_char_boundary(begin) && text.is_char_boundary(end) {
                self.push(&text[at..begin], style, false);
                self.push(&text[begin..end], style, true);
                at = end;
            }
        }
        self.push(&text[at..], style, false);
    }

    fn push(&mut self, text: &str, style: Style, is_marked: bool) {
        let text: String = text
            .chars()
            .map(|c| if c != '\n' && is_banned(c) { ' ' } else { c })
            .collect();
        if text.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if last.style == style && last.is_marked == is_marked => last.text.push_str(&text),
            _ => self.pieces.push(Piece { text, style, is_marked }),
        }
    }

    /// The text alone, in the bytes that [`Prose::slice`] counts.
    pub(super) fn plain(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// The text as one line, each marked piece between `open` and `close`.
    pub(super) fn marked(&self, open: &str, close: &str) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            let words = piece.text.replace('\n', " ");
            if piece.is_marked {
                text.extend([open, &words, close]);
            } else {
                text.push_str(&words);
            }
        }
        text
    }

    /// Where the first mark begins.
    pub(super) fn first_mark(&self) -> Option<usize> {
        let mut at = 0;
        for piece in &self.pieces {
            if piece.is_marked {
                return Some(at);
            }
            at += piece.text.len();
        }
        None
    }

    /// The part in `range`; a formula or a raised or lowered piece that would be cut is left out whole at the end
    /// and kept whole at the beginning.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        let mut at = 0;
        for piece in &self.pieces {
            let (from, to) = (at, at + piece.text.len());
            at = to;
            if to <= range.start || from >= range.end {
                continue;
            }
            match piece.style {
                Style::Plain | Style::Emphasis => {
                    let begin = range.start.max(from) - from;
                    let end = range.end.min(to) - from;
                    if let Some(text) = piece.text.get(begin..end) {
                        part.push(text, piece.style, piece.is_marked);
                    }
                }
                Style::Superscript | Style::Subscript | Style::Tex => {
                    if to <= range.end {
                        part.push(&piece.text, piece.style, piece.is_marked);
                    }
                }
            }
        }
        part
    }

    /// At most `chars_max` characters, cut between visible characters and ended by `…`. Says whether it was cut.
    pub(super) fn clipped(&self, chars_max: usize) -> (Self, bool) {
        let plain = self.plain();
        let end = fitting(&plain, chars_max);
        if end == plain.len() {
            return (self.clone(), false);
        }
        // One very long word is cut in the middle, anything else at a blank.
        let head = &plain[..end];
        let end = head.rfind([' ', '\n']).filter(|blank| *blank * 2 > end).unwrap_or(end);
        let mut part = self.slice(0..head[..end].trim_end().len());
        part.push("\u{a0}…", Style::Plain, false);
        (part, true)
    }

    /// Everything in one line.
    pub(super) fn in_one_line(mut self) -> Self {
        for piece in &mut self.pieces {
            piece.text = piece.text.replace('\n', " ");
        }
        self
    }

    pub(super) fn append(&mut self, text: &str) {
        self.push(text, Style::Plain, false);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        for piece in &other.pieces {
            self.push(&piece.text, piece.style, piece.is_marked);
        }
    }

    /// HTML content: escaped, marks as tinted spans, at most [`MARKS_MAX`] of them.
    pub(super) fn to_html(&self, place: Place) -> String {
        let (class, colour) = match place {
            Place::Title => ("g", LIGHT.hit_title),
            Place::Body => ("h", LIGHT.hit),
        };
        let mut out = String::new();
        let mut is_open = false;
        let mut n_marks = 0;
        for piece in &self.pieces {
            if is_open && !piece.is_marked {
                out.push_str("</span>");
                is_open = false;
            }
            if piece.is_marked && !is_open && n_marks < MARKS_MAX {
                let ground = LIGHT.hit_ground;
                out.push_str(&format!(
                    r#"<span class="{class}" style="background-color:{ground};color:{colour}">"#
                ));
                is_open = true;
                n_marks += 1;
            }
            let (open, close) = match piece.style {
                Style::Plain => ("", ""),
                // A line height of 0 keeps raised and lowered type from opening the line.
                Style::Superscript => (r#"<sup style="font-size:11px;line-height:0">"#, "</sup>"),
                Style::Subscript => (r#"<sub style="font-size:11px;line-height:0">"#, "</sub>"),
                // Italics make Chinese and Japanese characters hard to read.
                Style::Emphasis if has_cjk(&piece.text) => ("", ""),
                Style::Emphasis => ("<em>", "</em>"),
                Style::Tex => (r#"<code style="font-size:14px">"#, "</code>"),
            };
            out.push_str(open);
            for (index, line) in piece.text.split('\n').enumerate() {
                if index > 0 {
                    out.push_str("<br>");
                }
                escape_into(&mut out, line);
            }
            out.push_str(close);
        }
        if is_open {
            out.push_str("</span>");
        }
        out
    }

    /// Plain text: raised and lowered type as `^(2/3)` and `_(max)`.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            let sign = match piece.style {
                Style::Superscript => '^',
                Style::Subscript => '_',
                Style::Plain | Style::Emphasis | Style::Tex => {
                    out.push_str(&piece.text);
                    continue;
                }
            };
            out.push(sign);
            if piece.text.graphemes(true).count() == 1 || tex::is_in_brackets(&piece.text) {
                out.push_str(&piece.text);
            } else {
                out.push('(');
                out.push_str(&piece.text);
                out.push(')');
            }
        }
        out
    }
}

/// Sorted, clamped, joined where they touch.
fn merged(marks: &[Range<usize>], len: usize) -> Vec<Range<usize>> {
    let mut marks: Vec<Range<usize>> = marks
        .iter()
        .map(|mark| mark.start.min(len)..mark.end.min(len))
        .filter(|mark| mark.start < mark.end)
        .collect();
    marks.sort_by_key(|mark| (mark.start, mark.end));
    let mut out: Vec<Range<usize>> = Vec::with_capacity(marks.len());
    for mark in marks {
        match out.last_mut() {
            Some(last) if mark.start <= last.end => last.end = last.end.max(mark.end),
            _ => out.push(mark),
        }
    }
    out
}

fn has_cjk(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, style: Style, is_marked: bool) -> Piece {
        Piece {
            text: text.to_owned(),
            style,
            is_marked,
        }
    }

    fn bare(html: &str) -> String {
        html.replace(
            r#"<span class="h" style="background-color:#fff4cc;color:#1b2026">"#,
            "[",
        )
        .replace("</span>", "]")
        .replace(r#" style="font-size:11px;line-height:0""#, "")
        .replace(r#" style="font-size:14px""#, "")
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one mark is a list of one range")]
    fn marks_are_laid_over_escaped_text() {
        let check = |source: &str, marks: &[Range<usize>], expected: &str| {
            assert_eq!(
                bare(&Prose::read(source, marks).to_html(Place::Body)),
                expected,
                "{source:?}"
            );
        };
        check("a<b> & \"c\"", &[], "a&lt;b&gt; &amp; &quot;c&quot;");
        check("graph neural net", &[0..5, 6..12], "[graph] [neural] net");
        check("overlap here", &[0..4, 2..7, 7..7, 90..99], "[overlap] here");
        check("<unk>", &[0..5], "[&lt;unk&gt;]");
        // Ranges that would cut a character are left out.
        check("é", &[0..1], "é");
        check("bell\u{7} \u{202e}x", &[], "bell   x");
        check("two\nlines", &[0..9], "[two<br>lines]");
    }

    #[test]
    fn no_more_marks_than_are_allowed() {
        let source = "a ".repeat(100);
        let marks: Vec<_> = (0..100).map(|at| at * 2..at * 2 + 1).collect();
        assert_eq!(
            bare(&Prose::read(&source, &marks).to_html(Place::Body))
                .matches('[')
                .count(),
            MARKS_MAX
        );
    }

    #[test]
    fn styles_become_tags_and_signs() {
        let prose = Prose {
            pieces: vec![
                piece("O(n", Style::Plain, true),
                piece("2/3", Style::Superscript, true),
                piece(") x", Style::Plain, false),
                piece("i", Style::Subscript, false),
                piece(" ", Style::Plain, false),
                piece("so", Style::Emphasis, false),
                piece("漢字", Style::Emphasis, false),
                piece(r"$\odd{<}$", Style::Tex, false),
            ],
        };
        assert_eq!(
            bare(&prose.to_html(Place::Body)),
            r"[O(n<sup>2/3</sup>]) x<sub>i</sub> <em>so</em>漢字<code>$\odd{&lt;}$</code>"
        );
        assert_eq!(prose.to_text(), r"O(n^(2/3)) x_i so漢字$\odd{<}$");
        assert_eq!(
            prose.slice(0..5).to_text(),
            "O(n",
            "a raised piece is not cut in the middle"
        );
    }
}
