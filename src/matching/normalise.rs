//! One normal form for texts and keywords, with the way back to the bytes it came from.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;

use super::{
    form::Form,
    letters::{is_accent, is_hyphen, is_ideograph, is_raised_digit, is_unspaced, plain_letters},
    pieces::{Piece, pieces},
};
use crate::tex::{self, Run, Style};

/// The most bytes of one text that are looked at. arXiv's longest abstracts have a few thousand.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// A text in normal form: lower case, without accents, every hyphen, dash and stretch of white space one
/// blank, no markup. Each of its bytes remembers which part of the source it stands for.
pub(crate) struct Text<'s> {
    source: &'s str,
    runs: Vec<Run>,
    /// Where each run begins in `readable`.
    run_starts: Vec<usize>,
    /// The runs' texts one after the other.
    readable: String,
    form: Form,
    /// Places in the form, ascending, where a word may begin or end although letters stand on both sides:
    /// the edges of superscripts, subscripts and formulas.
    soft: Vec<usize>,
}

impl<'s> Text<'s> {
    /// Reads TeX and normalises.
    pub(crate) fn new(source: &'s str) -> Self {
        let source = &source[..source.floor_char_boundary(TEXT_BYTES_MAX)];
        let runs = tex::read(source);
        let mut run_starts = Vec::with_capacity(runs.len());
        let mut readable = String::with_capacity(source.len());
        let mut edges = Vec::new();
        for run in &runs {
            run_starts.push(readable.len());
            let set_apart = matches!(run.style, Style::Superscript | Style::Subscript | Style::Tex);
            if set_apart {
                edges.push(readable.len());
            }
            readable.push_str(&run.text);
            if set_apart {
                edges.push(readable.len());
            }
        }
        // Conversion can lengthen a text a little; offsets must stay within 32 bits.
        readable.truncate(readable.floor_char_boundary(4 * TEXT_BYTES_MAX));
        let (form, soft) = normal_form(&readable, &edges);
        Self {
            source,
            runs,
            run_starts,
            readable,
            form,
            soft,
        }
    }

    /// The normal form.
    pub(crate) fn folded(&self) -> &str {
        self.form.text()
    }

    /// Whether the byte at `at` of the normal form stands for a capital.
    pub(crate) fn is_upper(&self, at: usize) -> bool {
        self.form.is_upper(at, &self.readable)
    }

    /// Whether a word may begin or end at `at`.
    pub(crate) fn is_boundary(&self, at: usize) -> bool {
        let before = self.folded()[..at].chars().next_back();
        let after = self.folded()[at..].chars().next();
        match (before, after) {
            (Some(before), Some(after)) => {
                !before.is_alphanumeric()
                    || !after.is_alphanumeric()
                    || is_unspaced(before)
                    || is_unspaced(after)
                    || self.soft.binary_search(&at).is_ok()
            }
            _ => true,
        }
    }

    /// The readable text behind a stretch of the normal form.
    pub(crate) fn readable(&self, folded: &Range<usize>) -> &str {
        &self.readable[self.form.origin(folded)]
    }

    /// The bytes of the source behind a stretch of the normal form, on character boundaries.
    pub(crate) fn source_range(&self, folded: &Range<usize>) -> Range<usize> {
        let Range { start, end } = self.form.origin(folded);
        if start >= end {
            return 0..0;
        }
        let first = self.run_at(start);
        let last = self.run_at(end - 1);
        let start = match &self.runs[first] {
            run if run.text.len() == run.source.len() => run.source.start + (start - self.run_starts[first]),
            run => run.source.start,
        };
        let end = match &self.runs[last] {
            run if run.text.len() == run.source.len() => run.source.start + (end - self.run_starts[last]),
            run => run.source.end,
        };
        self.source.floor_char_boundary(start)..self.source.ceil_char_boundary(end)
    }

    /// The run that holds a byte of `readable`; there is one, since `readable` is made of runs.
    fn run_at(&self, at: usize) -> usize {
        self.run_starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// The words of the normal form: the longest stretches of letters and digits.
    pub(crate) fn words(&self) -> impl Iterator<Item = Range<usize>> {
        words(self.folded())
    }

    /// The same text with every word replaced by what `stem` makes of it. A stem stands for its whole word.
    pub(crate) fn map_words(self, mut stem: impl FnMut(&str) -> String) -> Self {
        let mut form = Form::with_capacity(self.form.len());
        let mut soft = Vec::new();
        let mut copied = 0;
        for word in words(self.folded()) {
            form.push_part(&self.form, copied..word.start);
            if self.soft.binary_search(&word.start).is_ok() {
                soft.push(form.len());
            }
            let whole = self.form.origin(&word);
            for (at, c) in stem(&self.folded()[word.clone()]).char_indices() {
                form.push(c, &whole, at < word.len() && self.is_upper(word.start + at));
            }
            if self.soft.binary_search(&word.end).is_ok() {
                soft.push(form.len());
            }
            copied = word.end;
        }
        form.push_part(&self.form, copied..self.form.len());
        Self { form, soft, ..self }
    }
}

/// The normal form of readable text, and the places in it where words may be parted.
fn normal_form(readable: &str, edges: &[usize]) -> (Form, Vec<usize>) {
    let mut folder = Folder {
        form: Form::with_capacity(readable.len()),
        soft: Vec::new(),
        blank: None,
    };
    let mut from = 0;
    for edge in edges.iter().map(|edge| readable.len().min(*edge)) {
        folder.read(readable, from..edge);
        folder.soft.push(folder.form.len());
        from = edge;
    }
    folder.read(readable, from..readable.len());
    (folder.form, folder.soft)
}

struct Folder {
    form: Form,
    soft: Vec<usize>,
    /// Blanks that were read and count only if something follows.
    blank: Option<Range<usize>>,
}

impl Folder {
    fn read(&mut self, readable: &str, part: Range<usize>) {
        let offset = part.start;
        for (range, piece) in pieces(&readable[part]) {
            let range = range.start + offset..range.end + offset;
            match piece {
                Piece::Nothing => {}
                Piece::Blank => {
                    self.blank = Some(
                        self.blank
                            .take()
                            .map_or(range.clone(), |before| before.start..range.end),
                    );
                }
                Piece::Plain(text) => {
                    self.part_words(text);
                    self.form.push_ascii(text, range.start);
                }
                Piece::Glyph(glyph) => {
                    self.part_words(glyph);
                    let is_raised = glyph.starts_with(is_raised_digit);
                    if is_raised {
                        self.soft.push(self.form.len());
                    }
                    self.push_glyph(glyph, &range);
                    if is_raised {
                        self.soft.push(self.form.len());
                    }
                }
            }
        }
    }

    /// Sets a blank before `next`, if one was read and both sides are of scripts that have blanks.
    fn part_words(&mut self, next: &str) {
        let Some(blank) = self.blank.take() else { return };
        let before = self.form.text();
        let parts_words = !before.is_empty() && !before.ends_with(is_ideograph) && !next.starts_with(is_ideograph);
        if !parts_words {
            // An edge at a blank says nothing, so it may stay where it is.
        } else if blank.len() == 1 {
            self.form.push_ascii(" ", blank.start);
        } else {
            self.form.push(' ', &blank, false);
        }
    }

    fn push_glyph(&mut self, glyph: &str, range: &Range<usize>) {
        if glyph.len() == 1 && range.len() == 1 {
            return self.form.push_ascii(glyph, range.start);
        }
        let without_marks: String = glyph.nfkd().filter(|c| !is_accent(*c)).nfc().collect();
        for c in without_marks.chars() {
            match c {
                // Compatibility forms can hold hyphens and blanks of their own.
                _ if is_hyphen(c) || c.is_whitespace() => {
                    if !self.form.text().ends_with(' ') {
                        self.form.push(' ', range, false);
                    }
                }
                _ => match plain_letters(c) {
                    Some(letters) => letters.chars().for_each(|l| self.form.push(l, range, c.is_uppercase())),
                    None => c
                        .to_lowercase()
                        .for_each(|l| self.form.push(l, range, c.is_uppercase())),
                },
            }
        }
    }
}

/// The stretches of letters and digits in a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphanumeric)?;
        let end = text[start..]
            .find(|c: char| !c.is_alphanumeric())
            .map_or(text.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

/// A text in normal form, where only the form is wanted.
pub(crate) fn fold(text: &str) -> String {
    Text::new(text).folded().to_owned()
}

/// A keyword as one would say it: TeX read, markup and quotation marks dropped, white space folded, but
/// case, accents and hyphens as written.
pub(crate) fn readable(text: &str) -> String {
    let text: String = tex::read(text).into_iter().map(|run| run.text).collect();
    let mut readable = String::with_capacity(text.len());
    for (range, piece) in pieces(&text) {
        match piece {
            Piece::Nothing => {}
            Piece::Plain(plain) => readable.push_str(plain),
            Piece::Glyph(glyph) => readable.extend(glyph.nfkc()),
            Piece::Blank if text[range.clone()].starts_with(is_hyphen) => readable.push_str(&text[range]),
            Piece::Blank => readable.push(' '),
        }
    }
    readable.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CASES 15, 17.
    #[test]
    fn both_sides_meet_in_one_form() {
        let check = |input: &str, expected: &str| assert_eq!(fold(input), expected, "{input:?}");
        check("Graph\n  Neural\tNetworks", "graph neural networks");
        check("Erdős–Rényi", "erdos renyi");
        check("Zu\u{308}rich model", "zurich model");
        check("ﬁne-tuning", "fine tuning");
        check("Schr\\\"odinger", "schrodinger");
        check("Schr{\\\"o}dinger", "schrodinger");
        check("Łojasiewicz, Straße, Ærø", "lojasiewicz, strasse, aero");
        check("$k$-means", "k means");
        check("\\textbf{R}einforcement", "reinforcement");
        check("R\\&D", "r&d");
        check("C++ and F#", "c++ and f#");
        check("GPT-4o’s “limits”", "gpt 4o's limits");
        check("深度 学习\n模型", "深度学习模型");
        check("か\u{3099}ぞう", "がぞう");
        check("한국어", "한국어");
        check("  -omics  ", "omics");
        check("soft\u{ad}ware", "software");
        check("ΛΌΓΟΣ", "λογοσ");
        check("\\", "");
        check("", "");
    }

    #[test]
    fn every_place_leads_back_to_the_source() {
        let check = |source: &str, wanted: &str, expected: &str| {
            let text = Text::new(source);
            let start = text.folded().find(wanted).unwrap();
            let range = text.source_range(&(start..start + wanted.len()));
            assert_eq!(&source[range], expected, "{wanted:?} in {source:?}");
        };
        check("The Schrödinger–Bridge", "schrodinger bridge", "Schrödinger–Bridge");
        check("a  deep\n  graph", "deep graph", "deep\n  graph");
        check("ﬁne-tuning", "ine", "ﬁne");
        check("u\u{308}ber alles", "uber", "u\u{308}ber");
        check("Straße", "strasse", "Straße");
    }

    #[test]
    fn a_stem_stands_for_its_whole_word() {
        let source = "Graph Networks, learned";
        let text = Text::new(source).map_words(|word| word.chars().take(3).collect());
        assert_eq!(text.folded(), "gra net, lea");
        assert_eq!(&source[text.source_range(&(4..7))], "Networks");
        assert!(text.is_upper(4) && !text.is_upper(5));
    }
}
