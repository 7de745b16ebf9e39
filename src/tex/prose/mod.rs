//! Running text: accents, quotes, dashes and text macros; formulas are handed on.

mod macros;
mod signs;

use std::ops::Range;

use super::pieces::Pieces;
use super::scan::{Delimiter, Scan};
use super::{DEPTH_MAX, Style, accents, math};

/// A formula longer than this, in bytes, stays TeX.
const FORMULA_BYTES_MAX: usize = 4_000;

/// A symbol or script that stands outside of a formula is read up to this many bytes.
const BARE_BYTES_MAX: usize = 200;

/// Reads this part of the source as running text in this style.
pub(super) fn read_prose(scan: &Scan<'_>, out: &mut Pieces<'_>, range: Range<usize>, style: Style, depth: usize) {
    if depth > DEPTH_MAX {
        out.push(scan.slice(range.clone()), style, range);
        return;
    }
    let mut reader = Reader::new(scan, out, range, style, depth);
    while reader.at < reader.end {
        match reader.scan.byte(reader.at) {
            Some(b'\\') => reader.backslash(),
            Some(b'$') => reader.dollar(),
            Some(b'{') => reader.group(),
            Some(b'^' | b'_') => reader.script(),
            Some(b'~') => reader.tie(),
            Some(b'-') => reader.dashes(),
            Some(b'`') => reader.opening_quote(),
            Some(b'\'') => reader.closing_quote(),
            _ => reader.at += 1,
        }
    }
    reader.flush();
}

/// Reads this part of the source as a name: accents and ties only.
pub(super) fn read_name(scan: &Scan<'_>, out: &mut Pieces<'_>, range: Range<usize>, depth: usize) {
    let mut reader = Reader::new(scan, out, range, Style::Plain, depth);
    reader.only_letters = true;
    while reader.at < reader.end {
        match reader.scan.byte(reader.at) {
            Some(b'\\') => reader.backslash(),
            Some(b'$') => {
                let past = reader.scan.next(Delimiter::Dollar, reader.at + 1, reader.end);
                reader.at = past.unwrap_or(reader.at) + 1;
            }
            Some(b'{') => reader.group(),
            Some(b'~') => reader.tie(),
            _ => reader.at += 1,
        }
    }
    reader.flush();
}

struct Reader<'a, 'o, 's, 'p> {
    scan: &'a Scan<'s>,
    out: &'o mut Pieces<'p>,
    at: usize,
    end: usize,
    /// From here to `at` the text stays as it is.
    plain_from: usize,
    style: Style,
    depth: usize,
    /// In a name: no formulas, no text macros.
    only_letters: bool,
    /// Double quotes opened by two backticks and not closed yet.
    open_quotes: usize,
    /// Where the closing quote of a single-quoted word stands.
    single_quote_at: Option<usize>,
}

impl<'a, 'o, 's, 'p> Reader<'a, 'o, 's, 'p> {
    fn new(scan: &'a Scan<'s>, out: &'o mut Pieces<'p>, range: Range<usize>, style: Style, depth: usize) -> Self {
        Self {
            scan,
            out,
            at: range.start,
            end: range.end,
            plain_from: range.start,
            style,
            depth,
            only_letters: false,
            open_quotes: 0,
            single_quote_at: None,
        }
    }

    fn flush(&mut self) {
        let range = self.plain_from..self.at;
        self.out.push(self.scan.slice(range.clone()), self.style, range);
        self.plain_from = self.at;
    }

    /// Sets this text for the source from here to `to`.
    fn convert(&mut self, text: &str, style: Style, to: usize) {
        self.flush();
        self.out.push(text, style, self.at..to);
        self.at = to;
        self.plain_from = to;
    }

    /// Sets these runs for the source from here to `to`.
    fn convert_runs(&mut self, pieces: Pieces<'_>, to: usize) {
        self.flush();
        for run in pieces.into_runs() {
            self.out.push(&run.text, run.style, run.source);
        }
        self.at = to;
        self.plain_from = to;
    }

    /// Reads the inside of a group and goes on at `to`.
    fn descend(&mut self, inside: Range<usize>, style: Style, to: usize) {
        self.flush();
        if self.only_letters {
            read_name(self.scan, self.out, inside, self.depth + 1);
        } else {
            read_prose(self.scan, self.out, inside, style, self.depth + 1);
        }
        self.at = to;
        self.plain_from = to;
    }

    fn previous(&self) -> Option<u8> {
        self.at.checked_sub(1).and_then(|before| self.scan.byte(before))
    }

    fn backslash(&mut self) {
        let Some((name, after)) = self.scan.macro_name(self.at, self.end) else {
            self.at += 1;
            return;
        };
        if self.is_path() {
            let rest = self.scan.slice(self.at..self.end);
            self.at += rest.bytes().take_while(|byte| !byte.is_ascii_whitespace()).count();
            return;
        }
        let in_address = name == "~" && self.previous() == Some(b'/');
        if !in_address && let Some((text, to)) = accents::accented(self.scan, self.at, self.end) {
            return self.convert(&text, self.style, to);
        }
        if let Some((text, to)) = accents::special_letter(self.scan, self.at, self.end) {
            return self.convert(text, self.style, to);
        }
        if self.only_letters {
            if name.trim_ascii().is_empty() {
                return self.convert(" ", self.style, after);
            }
            self.at = after;
            return;
        }
        if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            self.named_macro(name, after);
        } else {
            self.sign_macro(name, after);
        }
    }

    /// Whether the backslash here belongs to a path: `C:\temp`.
    fn is_path(&self) -> bool {
        let before = self.scan.slice(0..self.at).as_bytes();
        match before {
            [.., previous, drive, b':'] => drive.is_ascii_alphabetic() && !previous.is_ascii_alphanumeric(),
            [drive, b':'] => drive.is_ascii_alphabetic(),
            _ => false,
        }
    }

    /// A macro whose name is one sign.
    fn sign_macro(&mut self, name: &str, after: usize) {
        let next = self.scan.character(after, self.end);
        match name {
            "(" => self.delimited(Delimiter::Parenthesis, 2),
            "[" => self.delimited(Delimiter::Bracket, 2),
            "%" | "&" | "#" | "$" | "_" | "{" | "}" => self.convert(name, self.style, after),
            " " | "\n" | "\t" | "," | ";" | ":" => {
                let blank_follows = next.is_some_and(char::is_whitespace);
                self.convert(if blank_follows { "" } else { " " }, self.style, after);
            }
            "!" | "/" | "@" => self.convert("", self.style, after),
            "-" if next.is_some_and(char::is_alphabetic) => self.convert("", self.style, after),
            "\\" if next.is_none_or(char::is_whitespace) => {
                let before = self.previous().is_none_or(|byte| byte.is_ascii_whitespace());
                let to = if before {
                    self.scan.skip_blanks(after, self.end)
                } else {
                    after
                };
                self.convert("", self.style, to);
            }
            _ => self.at = after,
        }
    }

    /// `_{…}` and `^{…}` outside of a formula; a bare `_` or `^` is text.
    fn script(&mut self) {
        if self.scan.byte(self.at + 1) != Some(b'{') {
            self.at += 1;
            return;
        }
        let Some(inside) = self.scan.group(self.at + 1, self.end) else {
            self.at += 1;
            return;
        };
        let to = inside.end + 1;
        if inside.len() <= BARE_BYTES_MAX
            && let Some((pieces, to)) = math::bare_script(self.scan, self.at..to, self.depth)
        {
            return self.convert_runs(pieces, to);
        }
        self.at = to;
    }

    fn dollar(&mut self) {
        let display = self.at + 1 < self.end && self.scan.byte(self.at + 1) == Some(b'$');
        if display && self.scan.next(Delimiter::DoubleDollar, self.at + 2, self.end).is_some() {
            return self.delimited(Delimiter::DoubleDollar, 2);
        }
        if display {
            self.at += 2;
            return;
        }
        let Some(closing) = self.scan.next(Delimiter::Dollar, self.at + 1, self.end) else {
            self.at += 1;
            return;
        };
        let content = self.scan.slice(self.at + 1..closing);
        if is_money(content, self.scan.character(closing + 1, self.end)) || is_sentence(content) {
            self.at += 1;
            return;
        }
        self.delimited(Delimiter::Dollar, 1);
    }

    /// A formula whose opening delimiter stands here.
    fn delimited(&mut self, delimiter: Delimiter, length: usize) {
        let from = self.at + length;
        let Some(closing) = self.scan.next(delimiter, from, self.end) else {
            self.at = from;
            return;
        };
        let to = closing + length;
        let content = self.scan.slice(from..closing);
        if content.trim().is_empty() {
            self.at = to;
            return;
        }
        let formula = if content.len() <= FORMULA_BYTES_MAX {
            math::formula(self.scan, from..closing, self.style, self.depth)
        } else {
            None
        };
        match formula {
            Some(pieces) => self.convert_runs(pieces, to),
            None => self.convert(self.scan.slice(self.at..to), Style::Tex, to),
        }
    }
}

/// `$5 to $10`, `$5, or $10`: amounts, not a formula.
fn is_money(content: &str, next: Option<char>) -> bool {
    let amount = content
        .strip_prefix('.')
        .unwrap_or(content)
        .starts_with(|digit: char| digit.is_ascii_digit());
    if !amount {
        return false;
    }
    let next_is_amount = next.is_some_and(|next| next.is_ascii_digit());
    let has_tex = content.contains(['\\', '^', '_', '{', '=', '<', '>']);
    let breaks_off = content.ends_with(|last: char| last.is_ascii_whitespace() || last == '(');
    !has_tex && (next_is_amount || breaks_off || plain_words(content) >= 2)
}

/// Whether this is prose between two stray dollar signs.
fn is_sentence(content: &str) -> bool {
    content.contains("\n\n") || content.contains("\n  ") || plain_words(content) >= 4
}

/// How many words of two letters or more stand between blanks, outside of macros and braces.
fn plain_words(content: &str) -> usize {
    if content.contains(['\\', '{', '^', '_']) {
        return 0;
    }
    content
        .split_ascii_whitespace()
        .filter(|word| {
            word.len() >= 2
                && word
                    .trim_end_matches([',', '.', ';', ':'])
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic())
        })
        .count()
}
