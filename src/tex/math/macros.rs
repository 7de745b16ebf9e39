//! Macros within formulas.

use std::ops::Range;

use super::super::accents::math_accent;
use super::super::pieces::Pieces;
use super::super::tables::{self, Alphabet, Spacing};
use super::super::{DEPTH_MAX, Style, prose, runs_to_text};
use super::shape::accent;
use super::{Gap, Parser, push_script};

impl<'s> Parser<'_, 's> {
    /// Reads the macro that stands here.
    pub(super) fn macro_call(&mut self, out: &mut Pieces<'s>) -> Option<()> {
        let from = self.at;
        let (name, after) = self.scan.macro_name(from, self.end)?;
        self.at = after;
        if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            self.at = self.scan.skip_blanks(after, self.end);
        }
        if let Some((text, spacing)) = tables::symbol(name) {
            match spacing {
                Spacing::Close => self.emit_text(out, text, from..after),
                Spacing::Spaced => self.emit_spaced(out, text, from..after),
                Spacing::Word => self.emit_word(out, &literal(self.scan.source, text, self.style, from..after)),
            }
            return Some(());
        }
        if let Some(mark) = math_accent(name) {
            let base = self.argument(self.tight)?;
            let accented = accent(self.scan.source, &base, mark, name)?;
            if name == "not" {
                self.emit_spaced(out, &runs_to_text(accented.runs()), from..self.at);
                return Some(());
            }
            self.emit(out, accented);
            return Some(());
        }
        match name {
            "%" | "&" | "_" | "{" | "}" | "$" | "#" => self.emit_text(out, name, from..after),
            "|" => self.emit_text(out, "‖", from..after),
            // As after a word: `f: X → Y`.
            "colon" => {
                self.gap = Gap::None;
                self.emit_text(out, ":", from..after);
                self.gap = Gap::Blank(after..after);
            }
            "," | ":" | ";" | ">" | " " | "\n" | "\t" | "quad" | "qquad" | "space" | "thinspace" | "enspace" => {
                if self.gap == Gap::None || matches!(self.gap, Gap::Word(_)) {
                    self.gap = Gap::Blank(from..after);
                }
            }
            "!" | "/" | "left" | "right" | "middle" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl"
            | "Bigr" | "biggl" | "biggr" | "Biggl" | "Biggr" | "bigm" | "displaystyle" | "textstyle"
            | "scriptstyle" | "scriptscriptstyle" | "limits" | "nolimits" | "nonumber" | "small" | "boldmath"
            | "mathstrut" | "xspace" | "negthinspace" => {
                if matches!(name, "left" | "right" | "middle") && self.peek() == Some(b'.') {
                    self.at += 1;
                }
            }
            "rm" | "bf" | "it" | "sf" | "tt" | "sl" | "em" | "sc" | "mit" | "rmfamily" | "bfseries" | "itshape" => {
                self.alphabet = Alphabet::Ordinary;
            }
            "cal" | "scr" if self.peek() != Some(b'{') => self.alphabet = Alphabet::Script,
            "frak" if self.peek() != Some(b'{') => self.alphabet = Alphabet::Fraktur,
            "mathcal" | "mathscr" | "cal" | "scr" | "EuScript" => self.in_alphabet(out, Alphabet::Script)?,
            "mathbb" | "Bbb" | "mathds" | "mathbbm" => self.in_alphabet(out, Alphabet::Blackboard)?,
            "mathfrak" | "frak" => self.in_alphabet(out, Alphabet::Fraktur)?,
            "mathrm" | "mathbf" | "mathit" | "mathsf" | "mathtt" | "mathnormal" | "bm" | "boldsymbol" | "pmb"
            | "bold" | "mathop" | "mathrel" | "mathbin" | "mathord" | "mathopen" | "mathclose" | "mathpunct"
            | "ensuremath" | "underline" | "underbrace" | "overbrace" | "smash" => {
                self.in_alphabet(out, Alphabet::Ordinary)?;
            }
            "operatorname" => {
                if self.peek() == Some(b'*') {
                    self.at += 1;
                }
                let word = self.argument(false)?;
                self.emit_word(out, &word);
            }
            "text" | "textrm" | "textbf" | "textit" | "textsf" | "texttt" | "textsc" | "textup" | "textnormal"
            | "textmd" | "textsl" | "mbox" | "hbox" | "emph" => self.text(out, name)?,
            "textsuperscript" => self.text_script(out, Style::Superscript, from)?,
            "textsubscript" => self.text_script(out, Style::Subscript, from)?,
            "textcolor" | "href" => {
                // A colour cannot be shown; a link within a formula has no place to go.
                let first = self
                    .scan
                    .group(self.at, self.end)
                    .filter(|_| self.peek() == Some(b'{'))?;
                self.at = self.scan.skip_blanks(first.end + 1, self.end);
                self.text(out, "text")?;
            }
            "frac" | "dfrac" | "tfrac" | "nicefrac" | "sfrac" | "cfrac" => {
                let over = self.argument(self.tight)?;
                let under_from = self.at;
                let under = self.argument(self.tight)?;
                let fence = self.needs_fence(out);
                let fraction = self.fraction(over, under, under_from, fence);
                self.emit(out, fraction);
            }
            "binom" | "dbinom" | "tbinom" => {
                let over = self.argument(self.tight)?;
                let under_from = self.at;
                let under = self.argument(self.tight)?;
                let choice = self.choice(over, under, under_from);
                self.emit(out, choice);
            }
            "sqrt" => self.root(out, from, after)?,
            "pmod" | "mod" | "pod" => {
                let modulus = self.argument(self.tight)?;
                let mut text = Pieces::new(self.scan.source);
                text.push(if name == "mod" { "mod " } else { "(mod " }, self.style, from..after);
                text.append(modulus);
                text.push(if name == "mod" { "" } else { ")" }, self.style, self.at..self.at);
                if !out.is_empty() {
                    self.gap = Gap::Blank(from..from);
                }
                self.emit(out, text);
            }
            "unicode" => {
                let inside = self
                    .scan
                    .group(self.at, self.end)
                    .filter(|_| self.peek() == Some(b'{'))?;
                let digits = self.scan.slice(inside.clone()).trim();
                let code = match digits.strip_prefix(['x', 'X']) {
                    Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                    None => digits.parse().ok()?,
                };
                let character = char::from_u32(code).filter(|character| !character.is_control())?;
                self.at = inside.end + 1;
                self.emit_text(out, character.encode_utf8(&mut [0; 4]), from..inside.end + 1);
            }
            _ => return None,
        }
        Some(())
    }

    fn in_alphabet(&mut self, out: &mut Pieces<'s>, alphabet: Alphabet) -> Option<()> {
        let outer = std::mem::replace(&mut self.alphabet, alphabet);
        let argument = self.argument(self.tight);
        self.alphabet = outer;
        self.emit(out, argument?);
        Some(())
    }

    /// Words within a formula.
    fn text(&mut self, out: &mut Pieces<'s>, name: &str) -> Option<()> {
        if self.peek() != Some(b'{') {
            return self.in_alphabet(out, Alphabet::Ordinary);
        }
        let inside = self.scan.group(self.at, self.end)?;
        if self.depth >= DEPTH_MAX {
            return None;
        }
        self.at = inside.end + 1;
        let style = if matches!(name, "textit" | "emph" | "textsl") {
            Style::Emphasis
        } else {
            self.style
        };
        let mut words = Pieces::new(self.scan.source);
        prose::read_prose(self.scan, &mut words, inside, style, self.depth + 1);
        // Prose keeps what it does not know; a formula is converted as a whole or not at all.
        if words
            .runs()
            .iter()
            .any(|run| run.style == Style::Tex || run.text.contains(['\\', '$']))
        {
            return None;
        }
        self.emit(out, words);
        Some(())
    }

    fn text_script(&mut self, out: &mut Pieces<'s>, style: Style, from: usize) -> Option<()> {
        let mut words = Pieces::new(self.scan.source);
        self.text(&mut words, "text")?;
        push_script(out, style, self.style, &runs_to_text(words.runs()), from..self.at);
        Some(())
    }
}

/// A symbol as pieces.
fn literal<'s>(whole: &'s str, text: &str, style: Style, source: Range<usize>) -> Pieces<'s> {
    let mut pieces = Pieces::new(whole);
    pieces.push(text, style, source);
    pieces
}
