//! One normal form for texts and keywords, with the way back to the bytes it came from.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

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
    folded: String,
    /// For each byte of `folded`, the bytes of `readable` that it stands for.
    origin: Vec<(u32, u32)>,
    /// For each byte of `folded`, whether it stands for a capital.
    upper: Vec<bool>,
    /// Places in `folded`, ascending, where a word may begin or end although letters stand on both sides:
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
        let mut text = Self {
            source,
            runs,
            run_starts,
            folded: String::with_capacity(readable.len()),
            origin: Vec::with_capacity(readable.len()),
            upper: Vec::with_capacity(readable.len()),
            soft: Vec::new(),
            readable: String::new(),
        };
        text.fold(&readable, &edges);
        text.readable = readable;
        text
    }

    fn fold(&mut self, readable: &str, edges: &[usize]) {
        let mut edges = edges.iter().copied().peekable();
        let mut blank: Option<Range<usize>> = None;
        for (range, piece) in pieces(readable) {
            while edges.next_if(|edge| *edge <= range.start).is_some() {
                self.soft.push(self.folded.len());
            }
            match piece {
                Piece::Nothing => {}
                Piece::Blank => {
                    blank = Some(blank.map_or(range.clone(), |before| before.start..range.end));
                }
                Piece::Glyph(glyph) => {
                    if let Some(blank) = blank.take() {
                        let parts_words = !self.folded.is_empty()
                            && !self.folded.ends_with(is_ideograph)
                            && !glyph.starts_with(is_ideograph);
                        if parts_words {
                            // An edge at a blank says nothing, so it may stay where it is.
                            self.push(' ', &blank, false);
                        }
                    }
                    let raised = glyph.chars().next().is_some_and(is_raised_digit);
                    if raised {
                        self.soft.push(self.folded.len());
                    }
                    self.push_glyph(glyph, &range);
                    if raised {
                        self.soft.push(self.folded.len());
                    }
                }
            }
        }
    }

    fn push_glyph(&mut self, glyph: &str, range: &Range<usize>) {
        if let [byte] = glyph.as_bytes() {
            self.push(char::from(byte.to_ascii_lowercase()), range, byte.is_ascii_uppercase());
            return;
        }
        let without_marks: String = glyph.nfkd().filter(|c| !is_accent(*c)).nfc().collect();
        for c in without_marks.chars() {
            match c {
                // Compatibility forms can hold hyphens and blanks of their own.
                _ if is_hyphen(c) || c.is_whitespace() => {
                    if !self.folded.ends_with(' ') {
                        self.push(' ', range, false);
                    }
                }
                _ => match plain_letters(c) {
                    Some(letters) => letters.chars().for_each(|l| self.push(l, range, c.is_uppercase())),
                    None => c.to_lowercase().for_each(|l| self.push(l, range, c.is_uppercase())),
                },
            }
        }
    }

    fn push(&mut self, c: char, range: &Range<usize>, upper: bool) {
        self.folded.push(c);
        // `readable` is cut to 1 MiB, so offsets fit.
        let origin = (range.start as u32, range.end as u32);
        self.origin.resize(self.folded.len(), origin);
        self.upper.resize(self.folded.len(), upper);
    }

    /// The normal form.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether the byte at `at` of the normal form stands for a capital.
    pub(crate) fn is_upper(&self, at: usize) -> bool {
        self.upper.get(at).copied().unwrap_or(false)
    }

    /// Whether a word may begin or end at `at`.
    pub(crate) fn is_boundary(&self, at: usize) -> bool {
        let before = self.folded[..at].chars().next_back();
        let after = self.folded[at..].chars().next();
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
        let (start, end) = self.readable_range(folded);
        &self.readable[start..end]
    }

    fn readable_range(&self, folded: &Range<usize>) -> (usize, usize) {
        match self.origin.get(folded.clone()) {
            Some([]) | None => (0, 0),
            Some(origins @ [first, ..]) => (first.0 as usize, origins[origins.len() - 1].1 as usize),
        }
    }

    /// The bytes of the source behind a stretch of the normal form, on character boundaries.
    pub(crate) fn source_range(&self, folded: &Range<usize>) -> Range<usize> {
        let (start, end) = self.readable_range(folded);
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
        words(&self.folded)
    }

    /// The same text with every word replaced by what `stem` makes of it. A stem stands for its whole word.
    pub(crate) fn map_words(self, mut stem: impl FnMut(&str) -> String) -> Self {
        let mut folded = String::with_capacity(self.folded.len());
        let mut origin = Vec::with_capacity(self.folded.len());
        let mut upper = Vec::with_capacity(self.folded.len());
        let mut soft = Vec::new();
        let mut copied = 0;
        let copy = |folded: &mut String, origin: &mut Vec<_>, upper: &mut Vec<_>, range: Range<usize>| {
            folded.push_str(&self.folded[range.clone()]);
            origin.extend_from_slice(&self.origin[range.clone()]);
            upper.extend_from_slice(&self.upper[range]);
        };
        for word in words(&self.folded) {
            copy(&mut folded, &mut origin, &mut upper, copied..word.start);
            if self.soft.binary_search(&word.start).is_ok() {
                soft.push(folded.len());
            }
            let stem = stem(&self.folded[word.clone()]);
            folded.push_str(&stem);
            let whole = (self.origin[word.start].0, self.origin[word.end - 1].1);
            origin.resize(folded.len(), whole);
            let capitals = &self.upper[word.clone()];
            upper.extend((0..stem.len()).map(|at| capitals.get(at).copied().unwrap_or(false)));
            if self.soft.binary_search(&word.end).is_ok() {
                soft.push(folded.len());
            }
            copied = word.end;
        }
        let end = self.folded.len();
        copy(&mut folded, &mut origin, &mut upper, copied..end);
        Self {
            folded,
            origin,
            upper,
            soft,
            ..self
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
    let text = Text::new(text);
    text.folded
}

/// A keyword as one would say it: TeX read, markup and quotation marks dropped, white space folded, but
/// case, accents and hyphens as written.
pub(crate) fn readable(text: &str) -> String {
    let text: String = tex::read(text).into_iter().map(|run| run.text).collect();
    let mut readable = String::with_capacity(text.len());
    for (range, piece) in pieces(&text) {
        match piece {
            Piece::Nothing => {}
            Piece::Glyph(glyph) => readable.extend(glyph.nfkc()),
            Piece::Blank if text[range.clone()].starts_with(is_hyphen) => readable.push_str(&text[range]),
            Piece::Blank => readable.push(' '),
        }
    }
    readable.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a piece of readable text means for matching.
enum Piece<'t> {
    /// Markup: not there.
    Nothing,
    /// Hyphen, dash or white space.
    Blank,
    /// Anything else: one user-perceived character.
    Glyph(&'t str),
}

/// Cuts readable text into pieces. TeX that [`tex::read`] left in place is dropped here: commands by name,
/// braces, `$`, and accents, whose letter is kept.
fn pieces(text: &str) -> impl Iterator<Item = (Range<usize>, Piece<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let (length, piece) = match first {
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
            // Two ASCII characters in a row never form one grapheme, and most text is ASCII.
            _ if first.is_ascii() && rest.as_bytes().get(1).is_none_or(u8::is_ascii) => (1, Piece::Glyph(&rest[..1])),
            _ => {
                let glyph = rest.graphemes(true).next().unwrap_or(rest);
                (glyph.len(), Piece::Glyph(glyph))
            }
        };
        let range = at..at + length;
        at = range.end;
        Some((range, piece))
    })
}

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

fn is_hyphen(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Accents of the European alphabets; marks that make other letters (kana, Indic vowels) stay.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
}

/// Letters with a stroke and ligatures, which Unicode does not take apart.
fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'ł' | 'Ł' => "l",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ħ' | 'Ħ' => "h",
        'þ' | 'Þ' => "th",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

fn is_raised_digit(c: char) -> bool {
    matches!(c, '²' | '³' | '¹' | '\u{2070}'..='\u{209c}')
}

/// Scripts that write blanks neither between words nor between themselves and others.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{303f}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Scripts in which words are not set off by blanks, or carry particles without one: a keyword in them is
/// found anywhere.
pub(crate) fn is_unspaced(c: char) -> bool {
    is_ideograph(c)
        || matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
            | '\u{ac00}'..='\u{d7af}')
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
