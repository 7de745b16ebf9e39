//! Formulas as a line of text: all of a formula is understood, or none of it is converted.

mod fractions;
mod macros;
mod shape;
mod spacing;

use std::ops::Range;

use super::accents::math_accent;
use super::pieces::Pieces;
use super::scan::Scan;
use super::tables::{self, Alphabet};
use super::{DEPTH_MAX, Style, runs_to_text};

/// The formula in this place of the source, or `None` when it holds anything unknown.
pub(super) fn formula<'s>(scan: &Scan<'s>, range: Range<usize>, style: Style, depth: usize) -> Option<Pieces<'s>> {
    Parser::new(scan, range, style, depth).list()
}

/// A symbol or construct that stands in running text without dollar signs, such as `\nu` or `\sqrt{s}`, with
/// its scripts, and where it ends. `None` when the whole of it is not understood.
pub(super) fn bare<'s>(
    scan: &Scan<'s>,
    range: Range<usize>,
    style: Style,
    depth: usize,
) -> Option<(Pieces<'s>, usize)> {
    let (name, _) = scan.macro_name(range.start, range.end)?;
    if !stands_alone(name) {
        return None;
    }
    let start = range.start;
    let mut parser = Parser::new(scan, range, style, depth);
    let mut out = Pieces::new(scan.source);
    loop {
        parser.macro_call(&mut out)?;
        // Blanks behind a macro's name belong to the prose, and no run may claim them.
        parser.at = parser.trimmed_from(start);
        out.end_by(parser.at);
        while let Some(sign @ (b'^' | b'_')) = parser.peek() {
            let rest = scan.slice(parser.at + 1..parser.end);
            let one_sign = rest.starts_with(['{', '\\']) || !rest.chars().nth(1).is_some_and(char::is_alphanumeric);
            if !one_sign {
                return None;
            }
            parser.script(sign, &mut out)?;
            parser.at = parser.trimmed_from(start);
        }
        let next = scan.slice(parser.at..parser.end).as_bytes();
        match next {
            [b'\\', letter, ..] if letter.is_ascii_alphabetic() => {}
            _ => return Some((out, parser.at)),
        }
    }
}

/// A script in running text, `_{…}` or `^{…}`, that starts at this sign; and where it ends.
pub(super) fn bare_script<'s>(scan: &Scan<'s>, range: Range<usize>, depth: usize) -> Option<(Pieces<'s>, usize)> {
    let mut parser = Parser::new(scan, range, Style::Plain, depth);
    let mut out = Pieces::new(scan.source);
    let sign = parser.peek()?;
    parser.script(sign, &mut out)?;
    Some((out, parser.at))
}

/// Adds a script: in glyphs if it has them, else raised or lowered.
pub(super) fn push_script(out: &mut Pieces<'_>, style: Style, base_style: Style, script: &str, source: Range<usize>) {
    let raised = style == Style::Superscript;
    if raised && script == "∘" {
        out.push("°", base_style, source);
    } else if raised && !script.is_empty() && script.chars().all(|sign| matches!(sign, '′' | '″' | '‴' | '°')) {
        out.push(&script.replace("′′′", "‴").replace("′′", "″"), base_style, source);
    } else if let Some(glyphs) = if raised {
        tables::raised(script)
    } else {
        tables::lowered(script)
    } {
        out.push(&glyphs, base_style, source);
    } else {
        out.push(script, style, source);
    }
}

/// Whether a macro of this name is read outside of formulas.
fn stands_alone(name: &str) -> bool {
    tables::symbol(name).is_some()
        || math_accent(name).is_some()
        || matches!(
            name,
            "sqrt" | "frac" | "mathbb" | "mathcal" | "mathfrak" | "mathrm" | "mathbf" | "ensuremath"
        )
}

/// What stands between the last piece and the next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Gap {
    None,
    /// A blank, from this place of the source.
    Blank(Range<usize>),
    /// A blank if a letter or digit follows: an operator name ended here.
    Word(usize),
}

struct Parser<'a, 's> {
    scan: &'a Scan<'s>,
    at: usize,
    end: usize,
    /// The style of what is neither raised nor lowered.
    style: Style,
    depth: usize,
    alphabet: Alphabet,
    /// Within a script, where blanks only cost room.
    tight: bool,
    gap: Gap,
    /// The last thing was an operator, so that a sign now would be one of a number.
    after_operator: bool,
}

impl<'a, 's> Parser<'a, 's> {
    fn new(scan: &'a Scan<'s>, range: Range<usize>, style: Style, depth: usize) -> Self {
        Self {
            scan,
            at: range.start,
            end: range.end,
            style,
            depth,
            alphabet: Alphabet::Ordinary,
            tight: false,
            gap: Gap::None,
            after_operator: false,
        }
    }

    fn peek(&self) -> Option<u8> {
        if self.at < self.end {
            self.scan.byte(self.at)
        } else {
            None
        }
    }

    /// The end of what was read from `start` on, without the blanks that only ended a macro's name.
    fn trimmed_from(&self, start: usize) -> usize {
        start + self.scan.slice(start..self.at).trim_ascii_end().len()
    }

    /// Everything up to the end of this group.
    fn list(&mut self) -> Option<Pieces<'s>> {
        let mut out = Pieces::new(self.scan.source);
        while self.at < self.end {
            if let Some(whole) = self.split_group(&out) {
                return whole;
            }
            self.step(&mut out)?;
        }
        Some(out)
    }

    /// Reads one thing. Blanks only leave a gap, which the next thing closes.
    fn step(&mut self, out: &mut Pieces<'s>) -> Option<()> {
        let from = self.at;
        let character = self.scan.character(self.at, self.end)?;
        match character {
            blank if blank.is_ascii_whitespace() => {
                self.at = self.scan.skip_blanks(self.at, self.end);
                if !self.tight && self.gap == Gap::None {
                    self.gap = Gap::Blank(from..self.at);
                }
            }
            '~' => {
                self.at += 1;
                self.gap = Gap::Blank(from..self.at);
            }
            '^' => self.script(b'^', out)?,
            '_' => self.script(b'_', out)?,
            '\'' => {
                let primes = self
                    .scan
                    .slice(from..self.end)
                    .bytes()
                    .take_while(|byte| *byte == b'\'')
                    .count();
                self.at += primes;
                let text = match primes {
                    1 => "′",
                    2 => "″",
                    3 => "‴",
                    _ => return None,
                };
                self.gap = Gap::None;
                out.push(text, self.style, from..self.at);
            }
            '{' => {
                let inside = self.group()?;
                self.emit(out, inside);
            }
            '\\' => {
                self.macro_call(out)?;
                if self.gap == Gap::None {
                    self.gap = self.gap_before_relation(from);
                }
            }
            '}' | '$' | '#' => return None,
            '-' => {
                self.at += 1;
                let text = if self.is_hyphen(out) { "-" } else { "−" };
                self.emit_text(out, text, from..self.at);
            }
            other => {
                self.at += other.len_utf8();
                let mut buffer = [0; 4];
                let text = tables::in_alphabet(other, self.alphabet).encode_utf8(&mut buffer);
                self.emit_text(out, text, from..self.at);
            }
        }
        Some(())
    }

    /// The blank that ended a macro's name, where a relation or a sign follows it: TeX swallows it and sets its own.
    fn gap_before_relation(&self, from: usize) -> Gap {
        let end = self.trimmed_from(from);
        let follows = matches!(self.peek(), Some(b'=' | b'<' | b'>' | b'+' | b'-'));
        if follows && end < self.at && !self.tight {
            Gap::Blank(end..self.at)
        } else {
            Gap::None
        }
    }

    /// Whether the `-` just read joins words (`$k-means$`, `$\alpha-$decay`) and is no minus.
    fn is_hyphen(&self, out: &Pieces<'s>) -> bool {
        let rest = self.scan.slice(self.at..self.end);
        let word_follows = rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_alphabetic());
        let ends = self.depth == 0 && rest.trim_ascii_start().is_empty() && !self.tight;
        (word_follows || ends) && !out.is_empty()
    }

    /// The group that opens here.
    fn group(&mut self) -> Option<Pieces<'s>> {
        let inside = self.scan.group(self.at, self.end)?;
        self.at = inside.end + 1;
        self.nested(inside, self.tight)
    }

    fn nested(&self, inside: Range<usize>, tight: bool) -> Option<Pieces<'s>> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let mut parser = Parser::new(self.scan, inside, self.style, self.depth + 1);
        parser.alphabet = self.alphabet;
        parser.tight = tight;
        parser.list()
    }

    /// The argument of a macro or a script: a group, a macro or one character.
    fn argument(&mut self, tight: bool) -> Option<Pieces<'s>> {
        self.at = self.scan.skip_blanks(self.at, self.end);
        if self.peek()? == b'{' {
            let inside = self.scan.group(self.at, self.end)?;
            self.at = inside.end + 1;
            return self.nested(inside, tight);
        }
        let character = self.scan.character(self.at, self.end)?;
        if matches!(character, '^' | '_' | '}' | '$' | '&' | '~') || self.depth >= DEPTH_MAX {
            return None;
        }
        let mut parser = Parser::new(self.scan, self.at..self.end, self.style, self.depth + 1);
        parser.alphabet = self.alphabet;
        parser.tight = tight;
        let mut out = Pieces::new(self.scan.source);
        parser.step(&mut out)?;
        self.at = parser.at;
        Some(out)
    }

    /// Reads a script behind its sign.
    fn script(&mut self, sign: u8, out: &mut Pieces<'s>) -> Option<()> {
        let from = self.at;
        self.at += 1;
        let script = runs_to_text(self.argument(true)?.runs());
        let style = if sign == b'^' {
            Style::Superscript
        } else {
            Style::Subscript
        };
        // A script closes up with what is before it. An operator's name ends behind its scripts.
        self.gap = match self.gap {
            Gap::Word(_) => Gap::Word(self.at),
            Gap::None | Gap::Blank(_) => self.gap_before_relation(from),
        };
        push_script(out, style, self.style, script.trim(), from..self.trimmed_from(from));
        Some(())
    }
}
